"""Which servers are measured, and how is each of them started and spoken to?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MODEL_NAME = "bench"
"""The name by which every server knows the model."""


class Encoding(StrEnum):
    """How tensors travel."""

    JSON = "json"
    BINARY = "binary"
    """The binary tensor extension of the Open Inference Protocol over HTTP."""
    GRPC = "grpc"
    NONE = "none"
    """Not at all: the model is run in the process that counts."""

    @property
    def told(self) -> str:
        """As people write it."""
        return {"json": "JSON", "grpc": "gRPC"}.get(self.value, self.value)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a peer's JSON looks: V2 tensors, or rows under a key of its own."""

    path: str = f"/v2/models/{MODEL_NAME}/infer"
    rows: str | None = None
    """The key of the rows; None: V2."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to serve a model. Words in braces are filled in when it starts: see `server.place`."""

    name: str
    title: str
    command: tuple[str, ...]
    encodings: tuple[Encoding, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    distribution: str
    """The distribution whose version is told."""
    installed: bool = True
    """Whether it has a requirement file and an environment of its own, and not the workspace's."""
    dialect: Dialect = Dialect()
    prepare: tuple[str, ...] = ()
    """A command that makes {prepared} of the model, once."""
    note: str = ""


_JSON, _BINARY, _GRPC = Encoding.JSON, Encoding.BINARY, Encoding.GRPC
_OURS = {
    "LOADLINE_MODEL_DIR": "{model_folder}",
    "LOADLINE_MODEL_NAME": MODEL_NAME,
    "LOADLINE_HOST": "127.0.0.1",
    "LOADLINE_HTTP_PORT": "{http_port}",
    "LOADLINE_GRPC_PORT": "{grpc_port}",
    "LOADLINE_METRICS_PORT": "{metrics_port}",
    "LOADLINE_DRAIN_QUIET_SECONDS": "2",
}
_SERVE = ("{python}", "-m", "loadline_serving", "serve")

RAW = Peer(
    name="raw",
    title="session.run alone",
    command=("{python}", "{scripts}/raw.py"),
    encodings=(Encoding.NONE,),
    distribution="onnxruntime",
    installed=False,
    note="no server: one thread calls the model in a loop",
)
LOADLINE = Peer(
    name="loadline",
    title="Loadline",
    command=_SERVE,
    encodings=(_JSON, _BINARY, _GRPC),
    environment=_OURS,
    distribution="loadline-serving",
    installed=False,
    note="all features on, micro-batching as it comes",
)
UNBATCHED = Peer(
    name="loadline-unbatched",
    title="Loadline, unbatched",
    command=_SERVE,
    encodings=(_JSON, _BINARY, _GRPC),
    environment=_OURS | {"LOADLINE_BATCH_ROWS": "1"},
    distribution="loadline-serving",
    installed=False,
    note="the same with `LOADLINE_BATCH_ROWS=1`",
)
FASTAPI = Peer(
    name="fastapi",
    title="FastAPI, bare",
    command=(
        *("{bin}/uvicorn", "fastapi_server:app", "--app-dir", "{scripts}", "--host", "127.0.0.1"),
        *("--port", "{http_port}", "--loop", "uvloop", "--http", "httptools", "--no-access-log"),
        *("--log-level", "warning"),
    ),
    encodings=(_JSON,),
    distribution="fastapi",
    note="an async handler, a pydantic body, an orjson answer; no product feature",
)
GRPC = Peer(
    name="grpc",
    title="grpc.aio, bare",
    command=("{python}", "{scripts}/grpc_server.py"),
    encodings=(_GRPC,),
    environment={"PYTHONPATH": "{messages}"},
    distribution="grpcio",
    note="the floor for gRPC in Python: one servicer, no product feature",
)
MLSERVER = Peer(
    name="mlserver",
    title="MLServer",
    command=("{bin}/mlserver", "start", "{scripts}/mlserver"),
    encodings=(_JSON, _GRPC),
    environment={
        "PYTHONPATH": "{scripts}/mlserver:{scripts}",
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{http_port}",
        "MLSERVER_GRPC_PORT": "{grpc_port}",
        "MLSERVER_METRICS_PORT": "{metrics_port}",
        "MLSERVER_METRICS_DIR": "{scratch}",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
    },
    distribution="mlserver",
    note="`parallel_workers=0`, which is its fastest; it takes no binary tensors",
)
KSERVE = Peer(
    name="kserve",
    title="KServe",
    command=("{python}", "{scripts}/kserve_server.py"),
    encodings=(_JSON, _BINARY, _GRPC),
    distribution="kserve",
    note="its Python server, one worker",
)
BENTOML = Peer(
    name="bentoml",
    title="BentoML",
    command=(
        *("{bin}/bentoml", "serve", "bentoml_service:Bench", "--working-dir", "{scripts}"),
        *("--host", "127.0.0.1", "--port", "{http_port}"),
    ),
    encodings=(_JSON,),
    environment={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{scratch}"},
    distribution="bentoml",
    dialect=Dialect(path="/infer", rows="x"),
    note="one worker; JSON of its own form",
)
LITSERVE = Peer(
    name="litserve",
    title="LitServe",
    command=("{python}", "{scripts}/litserve_server.py"),
    encodings=(_JSON,),
    distribution="litserve",
    dialect=Dialect(path="/predict", rows="input"),
    note="one worker, one API server; JSON of its own form",
)
MLFLOW = Peer(
    name="mlflow",
    title="MLflow",
    command=(
        *("{bin}/mlflow", "models", "serve", "-m", "{prepared}", "--env-manager", "local"),
        *("-h", "127.0.0.1", "-p", "{http_port}", "-w", "1"),
    ),
    encodings=(_JSON,),
    environment={"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
    distribution="mlflow",
    dialect=Dialect(path="/invocations", rows="inputs"),
    prepare=("{python}", "{scripts}/mlflow_model.py", "{model_file}", "{prepared}"),
    note="`mlflow models serve`, one worker; JSON of its own form",
)
PYTRITON = Peer(
    name="pytriton",
    title="PyTriton",
    command=("{python}", "{scripts}/pytriton_server.py"),
    encodings=(_JSON, _BINARY, _GRPC),
    distribution="nvidia-pytriton",
    note="Triton with its dynamic batcher: 64 rows, no wait",
)

OURS = (LOADLINE, UNBATCHED)
PEERS = (RAW, *OURS, FASTAPI, GRPC, MLSERVER, KSERVE, BENTOML, LITSERVE, MLFLOW, PYTRITON)
BY_NAME: Mapping[str, Peer] = {peer.name: peer for peer in PEERS}
