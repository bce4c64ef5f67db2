"""Which settings does the environment give, and are they all right?"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import ModelDigest
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from loadline_serving.admission import Concurrency
from loadline_serving.errors import StartupFault

Port = Annotated[int, Field(ge=0, le=65535)]


class GraphOptimization(StrEnum):
    """How far ONNX Runtime rewrites the graph when it loads it."""

    DISABLED = "disabled"
    BASIC = "basic"
    EXTENDED = "extended"
    ALL = "all"


class Device(StrEnum):
    """What runs the model."""

    CPU = "cpu"
    GPU = "gpu"


class LogLevel(StrEnum):
    """The least severe event that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class CommonSettings(BaseSettings):
    """What every command reads. Each field is the variable LOADLINE_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="LOADLINE_", frozen=True, use_attribute_docstrings=True)

    model_dir: Path = Path("/model")
    """The folder of the model: `manifest.json` and `files/`."""
    log_level: LogLevel = LogLevel.INFO
    """The least severe event that is logged."""

    @classmethod
    def read(cls) -> Self:
        """The settings, or one fault that names every variable that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"LOADLINE_{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in error.errors()
            )
            raise StartupFault(Reason.BAD_SETTINGS, f"bad environment: {problems}") from error


class FetchSettings(CommonSettings):
    """What `fetch` reads. Credentials are the store's own variables (AWS_ACCESS_KEY_ID and so on)."""

    model_digest: ModelDigest
    """The model to fetch."""
    store_url: str
    """The bucket: `s3://…`, `gs://…`, `abfss://…`, or a folder as `file:///…`."""
    store_endpoint: str | None = None
    """The address of an S3 server other than the cloud's own."""
    store_region: str | None = None
    """The bucket's region."""
    ca_bundle: Path | None = None
    """A file of certificates, in PEM, that the store may show besides those which the image trusts."""


class ServeSettings(CommonSettings):
    """What `serve` reads."""

    model_name: Annotated[str, Field(min_length=1, pattern=r"^[^/]+$")]
    """The name callers use."""
    model_namespace: str = ""
    """The namespace of the ModelDeployment."""
    model_version: Annotated[str, Field(min_length=1, pattern=r"^[^/]+$")] = "1"
    """The version callers may name and answers carry."""
    model_digest: ModelDigest | None = None
    """The digest that the files were fetched by."""
    revision: str = ""
    """The revision that this pod belongs to."""
    pod_name: str = ""
    """This pod."""
    host: str = "0.0.0.0"
    """The address to listen on."""
    http_port: Port = 8080
    """Inference over HTTP."""
    grpc_port: Port = 8081
    """Inference over gRPC."""
    metrics_port: Port = 9090
    """Metrics and probes."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that one inference may use."""
    graph_optimization: GraphOptimization = GraphOptimization.ALL
    """How far the graph is rewritten at load."""
    device: Device = Device.CPU
    """What runs the model; a GPU that is not there is a fault, never a reason to use the CPU."""
    memory_arena: bool = True
    """Whether ONNX Runtime keeps the memory of a run for the next one."""
    memory_pattern: bool = True
    """Whether ONNX Runtime plans memory by the shapes that it has seen."""
    io_binding: bool = False
    """Whether inputs and outputs are bound instead of passed."""
    batch_rows: Annotated[int, Field(ge=1, le=4096)] = 64
    """The most rows of several requests that run together; 1: each request runs alone."""
    batch_wait_seconds: Annotated[float, Field(ge=0, le=1)] = 0
    """How long a batch that is not full waits for more rows."""
    queue_rows: Annotated[int, Field(ge=1)] = 4096
    """Rows that may wait or run; what would be more is refused."""
    queue_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """Bytes of tensors that may wait or run."""
    concurrency: Concurrency = Concurrency.ADAPTIVE
    """Whether the rows inside are also bounded by how long they wait."""
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 30
    """The deadline of a request that brings none, and within which a request must have come to its end."""
    log_one_in: Annotated[int, Field(ge=0)] = 0
    """The log tells of every so many-th request, and of those that failed by our fault; 0: only of these."""
    drain_quiet_seconds: Annotated[float, Field(ge=0)] = 5
    """After SIGTERM, serving goes on until no request has come for so long; at least 2."""
    grace_seconds: Annotated[float, Field(gt=0)] = 60
    """The pod's termination grace period: the process is gone before it ends."""
    max_request_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """The largest request, over HTTP and gRPC."""
