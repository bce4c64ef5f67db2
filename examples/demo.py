"""What does Loadline do, from training to the first predictions?

`make demo` runs this when the cluster is up. It trains two models with their own frameworks, registers them in the
cluster's MLflow, applies two ModelDeployments, sends rows that no training saw through the gateway, and compares what
comes back with what the frameworks said. A second run continues from what is there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
from loadline_contracts.modeldeployment import ModelDeployment
from loadline_serving.protocol import open_inference_pb2 as messages
from loadline_serving.protocol.open_inference_pb2_grpc import GRPCInferenceServiceStub
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("LOADLINE_CACHE", "~/.cache/loadline")).expanduser()
HELD_OUT = ROOT / "build" / "examples"
NAMESPACE = "default"
ALIAS = "champion"
SYSTEM = "loadline-system"
READY_SECONDS = 300
TOLERANCE = 1e-4
BINARY_HEADER = "inference-header-content-length"

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A model that is trained in this repository."""

    name: str
    folder: str


EXAMPLES = (
    Example(name="breast-cancer", folder="breast_cancer"),
    Example(name="digits", folder="digits"),
)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Rows that no training saw, and what the framework says of them."""

    input: str
    output: str
    rows: Array
    predictions: Array
    accuracy: float

    @classmethod
    def of(cls, name: str) -> "HeldOut":
        """What the training of an example left."""
        with np.load(HELD_OUT / f"{name}.npz") as found:
            return cls(
                input=str(found["input"]),
                output=str(found["output"]),
                rows=found["rows"],
                predictions=found["predictions"],
                accuracy=float(found["accuracy"]),
            )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How far the served answers are from the framework's, by the way that they were asked for."""

    example: Example
    version: str
    held_out: HeldOut
    differences: dict[str, float]

    @property
    def same(self) -> bool:
        """Whether all of them are the framework's answers, to what 32-bit numbers can tell."""
        return max(self.differences.values()) <= TOLERANCE


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Kubectl:
    """The cluster of the demo, by kubectl."""

    def __init__(self, cluster: str) -> None:
        self.context = f"kind-{cluster}"
        self._environment = os.environ | {
            "PATH": os.pathsep.join([str(CACHE / "bin"), os.environ.get("PATH", os.defpath)]),
            "KUBECONFIG": _cluster_tool("kubeconfig", cluster),
        }
        found = shutil.which("kubectl", path=self._environment["PATH"])
        if found is None:
            raise DemoError("kubectl is not there; run: make programs")
        self._program = found

    def run(self, *arguments: str) -> str:
        """Run kubectl and return what it prints."""
        done = subprocess.run(
            self._command(*arguments), env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def model_deployment(self, name: str) -> ModelDeployment:
        """An object as it is now."""
        return ModelDeployment.model_validate_json(
            self.run("get", "modeldeployment", name, "--namespace", NAMESPACE, "--output", "json")
        )

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[str]:
        """The address of a service of the cluster on this machine, for as long as the block lasts."""
        command = self._command("port-forward", "--namespace", SYSTEM, f"service/{service}", f":{port}")
        with subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True) as forward:
            try:
                line = forward.stdout.readline() if forward.stdout else ""
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found is None:
                    raise DemoError(f"no way to service {service}: kubectl said {line!r}; is the chart installed?")
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                forward.terminate()

    def _command(self, *arguments: str) -> list[str]:
        return [self._program, "--context", self.context, *arguments]


def _cluster_tool(command: str, cluster: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "loadline_cluster", command, "--name", cluster],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"there is no cluster {cluster}; run: make up NAME={cluster}\n{done.stderr.strip()}")
    return done.stdout.strip()


def main() -> None:
    """Go from training to the table."""
    parser = argparse.ArgumentParser(description="Train, register, serve and compare two models.")
    parser.add_argument("--name", default="loadline", help="the cluster")
    parser.add_argument(
        "--train-python", type=Path, default=ROOT / ".venv-train" / "bin" / "python", help="the Python that has torch"
    )
    arguments = parser.parse_args()
    try:
        _demo(arguments.name, arguments.train_python)
    except DemoError as error:
        raise SystemExit(f"\nThe demo stopped: {error}") from error


def _demo(cluster: str, train_python: Path) -> None:
    kubectl = Kubectl(cluster)
    gateway = f"localhost:{_cluster_tool('port', cluster)}"
    versions = {}
    with kubectl.forwarded("loadline-mlflow", 5000) as registry:
        for example in EXAMPLES:
            _step(f"Training {example.name}")
            _train(example, train_python, registry)
            versions[example] = _champion(example, registry)
    for example in EXAMPLES:
        _step(f"Applying examples/{example.folder}/modeldeployment.yaml")
        manifest = ROOT / "examples" / example.folder / "modeldeployment.yaml"
        _say(kubectl.run("apply", "--server-side", "--filename", str(manifest)).strip())
    compared = []
    for example in EXAMPLES:
        _step(f"Waiting for {example.name}")
        _wait_until_ready(kubectl, example, versions[example])
        compared.append(_compare(example, versions[example], gateway))
    _print_table(compared)
    _print_next(cluster, gateway, compared[0])
    wrong = [found.example.name for found in compared if not found.same]
    if wrong:
        raise DemoError(f"served answers of {', '.join(wrong)} differ from the framework's by more than {TOLERANCE:g}")


def _train(example: Example, python: Path, registry: str) -> None:
    if not python.exists():
        raise DemoError(f"{python} is not there; run: make train")
    module = f"examples.{example.folder}.train"
    done = subprocess.run(
        [python, "-m", module, "--tracking-uri", registry],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"{module} failed:\n{done.stdout}{done.stderr}")
    for line in done.stdout.splitlines():
        if line.startswith(f"{example.name}: "):
            _say(line)


def _champion(example: Example, registry: str) -> str:
    """The version that the registry's alias points to: what must be served before anything is compared."""
    answer = _get(f"{registry}/api/2.0/mlflow/registered-models/alias", name=example.name, alias=ALIAS)
    return str(answer.json()["model_version"]["version"])


def _wait_until_ready(kubectl: Kubectl, example: Example, version: str) -> None:
    """Wait until this version is served, and say what the object's status says meanwhile."""
    said = ""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = kubectl.model_deployment(example.name)
        ready = next((condition for condition in found.status.conditions if condition.type == "Ready"), None)
        message = f"{ready.reason}: {ready.message}" if ready else "The operator has not looked at it yet."
        if message != said:
            said = message
            _say(message)
        if ready and ready.status == "True" and _is_served(found, version):
            return
        time.sleep(1)
    raise DemoError(
        f"{example.name} was not ready within {READY_SECONDS} s, its status says: {said}\n"
        f"See: kubectl --context {kubectl.context} describe modeldeployment {example.name}"
    )


def _is_served(found: ModelDeployment, version: str) -> bool:
    """Whether a status speaks of the spec of now and of this version."""
    resolved = found.status.model.version if found.status.model else ""
    return found.status.observed_generation == found.metadata.generation and resolved == version


def _compare(example: Example, version: str, gateway: str) -> Compared:
    held_out = HeldOut.of(example.name)
    url = f"http://{gateway}/{NAMESPACE}/{example.name}/v2/models/{example.name}/infer"
    answers = {
        "HTTP, JSON": _ask_json(url, held_out),
        "HTTP, binary": _ask_binary(url, held_out),
        "gRPC": _ask_grpc(gateway, example.name, held_out),
    }
    differences = {way: float(np.abs(answer - held_out.predictions).max()) for way, answer in answers.items()}
    return Compared(example=example, version=version, held_out=held_out, differences=differences)


def _ask_json(url: str, held_out: HeldOut) -> Array:
    rows = held_out.rows
    tensor = {"name": held_out.input, "shape": rows.shape, "datatype": "FP32", "data": rows.ravel().tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": held_out.output}]}
    answer = _post(url, json=body)
    output = answer.json()["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def _ask_binary(url: str, held_out: HeldOut) -> Array:
    raw = held_out.rows.astype("<f4").tobytes()
    tensor = {
        "name": held_out.input,
        "shape": held_out.rows.shape,
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(raw)},
    }
    wanted = {"name": held_out.output, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    headers = {BINARY_HEADER: str(len(head)), "content-type": "application/octet-stream"}
    answer = _post(url, content=head + raw, headers=headers)
    length = int(answer.headers[BINARY_HEADER])
    output: dict[str, Any] = json.loads(answer.content[:length])["outputs"][0]
    return np.frombuffer(answer.content[length:], "<f4").reshape(output["shape"])


def _ask_grpc(gateway: str, name: str, held_out: HeldOut) -> Array:
    request = messages.ModelInferRequest(
        model_name=name,
        inputs=[
            messages.ModelInferRequest.InferInputTensor(name=held_out.input, datatype="FP32", shape=held_out.rows.shape)
        ],
        outputs=[messages.ModelInferRequest.InferRequestedOutputTensor(name=held_out.output)],
        raw_input_contents=[held_out.rows.astype("<f4").tobytes()],
    )
    with grpc.insecure_channel(gateway) as channel:
        stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code has no types
        try:
            answer = stub.ModelInfer(request, metadata=[("loadline-model", f"{NAMESPACE}/{name}")], timeout=30)
        except grpc.RpcError as error:
            raise DemoError(f"gRPC to {gateway} for {name}: {error}") from error
    shape = list(answer.outputs[0].shape)
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(shape)
    return np.array(answer.outputs[0].contents.fp32_contents, np.float32).reshape(shape)


def _get(url: str, **query: str) -> httpx.Response:
    return _request("GET", url, params=query)


def _post(url: str, **request: Any) -> httpx.Response:
    return _request("POST", url, **request)


def _request(method: str, url: str, **request: Any) -> httpx.Response:
    try:
        answer = httpx.request(method, url, timeout=30, trust_env=False, **request)
    except httpx.TransportError as error:
        raise DemoError(f"{url} did not answer: {error}") from error
    if answer.status_code != httpx.codes.OK:
        raise DemoError(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return answer


def _print_table(compared: list[Compared]) -> None:
    _step("Held-out rows, through the gateway")
    ways = list(compared[0].differences)
    print(f"  {'model':<15}{'version':>8}{'rows':>6}{'accuracy':>10}   largest difference from the framework's answer")
    print(f"  {'':<39}   " + "".join(f"{way:<16}" for way in ways))
    for found in compared:
        rows, accuracy = len(found.held_out.rows), found.held_out.accuracy
        head = f"  {found.example.name:<15}{'v' + found.version:>8}{rows:>6}{accuracy:>10.3f}"
        print(head + "   " + "".join(f"{found.differences[way]:<16.1e}" for way in ways))


def _print_next(cluster: str, gateway: str, first: Compared) -> None:
    """Commands that work as they stand."""
    _step("Next")
    name, row = first.example.name, first.held_out.rows[0]
    tensor = {
        "name": first.held_out.input,
        "shape": [1, *row.shape],
        "datatype": "FP32",
        "data": [float(f"{value:.6g}") for value in row.ravel()],
    }
    url = f"http://{gateway}/{NAMESPACE}/{name}"
    # The cluster's kubectl lies in the cache, which is on nobody's PATH yet.
    print(f'  eval "$({sys.executable} -m loadline_cluster env --name {cluster})"')
    print("  kubectl get md")
    print(f"  kubectl describe md {name}")
    print(f"  curl {url}/v2/models/{name}")
    print(f"  curl {url}/v2/models/{name}/infer -d '{json.dumps({'inputs': [tensor]})}'")


def _step(text: str) -> None:
    print(f"\n{text}", flush=True)


def _say(text: str) -> None:
    print("".join(f"  {line}\n" for line in text.splitlines()), end="", flush=True)


if __name__ == "__main__":
    main()
