"""Does the real server keep what its OpenAPI document promises, whatever the document lets a client send?"""

import subprocess
import sys
from pathlib import Path

import pytest
from support import serving_graphs
from support.model_folders import put_in_pod
from support.serving_process import serving

SCHEMATHESIS = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
BOUNDED = ["--generation-deterministic", "--max-examples=10", "--phases=examples,coverage,fuzzing", "--no-color"]
RUNS_THE_MODEL = "(infer|predict)$"
# No schema says that one list must be as long as another, or as its shape asks for.
UNSAYABLE = ["--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", "versions"]


@pytest.mark.parametrize(
    ("model", "which"),
    [
        ("classifier", ["--include-path-regex", RUNS_THE_MODEL, *UNSAYABLE]),
        ("columns", ["--include-path-regex", RUNS_THE_MODEL, *UNSAYABLE]),
        ("classifier", ["--exclude-path-regex", RUNS_THE_MODEL]),
    ],
    ids=["a matrix", "columns of every kind", "what tells of the model"],
)
def test_no_request_from_the_document_gets_an_answer_beside_it(model: str, which: list[str], tmp_path: Path) -> None:
    put_in_pod(tmp_path, {"model.onnx": getattr(serving_graphs, model)()})
    with serving(tmp_path) as process:
        process.wait_until_ready()
        said = subprocess.run(
            [*SCHEMATHESIS, "run", process.url("http") + "/openapi.json", *BOUNDED, *which],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        assert process.process.poll() is None
        assert not [event for event in process.events() if event["level"] == "error"]
