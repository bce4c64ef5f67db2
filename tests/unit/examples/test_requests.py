"""Are the bodies that the README sends ones that the examples' models take?"""

import ast
from pathlib import Path

import numpy as np
from loadline_serving.datatypes import DATATYPES
from loadline_serving.protocol.openinference import decode
from loadline_serving.signature import Signature, TensorSpec

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "breast_cancer"


def _names_in_training() -> tuple[str, str]:
    """INPUT and OUTPUT as train.py sets them; its libraries are not here to import it."""
    (line,) = [line for line in (EXAMPLE / "train.py").read_text().splitlines() if line.startswith("INPUT, OUTPUT = ")]
    given, made = ast.literal_eval(line.partition(" = ")[2])
    return str(given), str(made)


def _spec(name: str, width: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=DATATYPES["FP32"], shape=(-1, width))


def test_the_request_of_the_breast_cancer_example_fits_the_model_that_is_trained() -> None:
    given, made = _names_in_training()
    signature = Signature(
        inputs={given: _spec(given, 30)}, outputs={made: _spec(made, 2)}, untransferable={}, all_outputs=(made,)
    )
    request = decode((EXAMPLE / "request.json").read_bytes(), None, signature)

    assert request.outputs == (made,)
    assert request.feeds[given].shape == (2, 30)
    assert np.isfinite(request.feeds[given]).all()


def test_the_readme_sends_that_request() -> None:
    assert "/v2/models/breast-cancer/infer -d @examples/breast_cancer/request.json" in (ROOT / "README.md").read_text()
