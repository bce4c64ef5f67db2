"""Are exactly the files kept that serving needs?"""

import pytest
from loadline_operators.model_errors import NotServableError
from loadline_operators.model_examination import choose_files
from loadline_operators.model_sources import ListedFile

ONNX = "flavors:\n  onnx: {data: model.onnx}\n"


def listing(*paths: str) -> list[ListedFile]:
    return [ListedFile(path=path, size=1) for path in paths]


def kept(description: str, *paths: str) -> list[str]:
    _, files = choose_files(description, listing(*paths), name="the model")
    return [file.path for file in files]


def test_what_only_mlflow_reads_stays_behind() -> None:
    files = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "metadata/conda.yaml", "code/model.py")
    assert kept(ONNX, *files, "model.onnx") == ["model.onnx"]


def test_tensor_data_is_kept_wherever_it_lies() -> None:
    assert kept(ONNX, "MLmodel", "model.onnx", "weights.data", "parts/1") == ["model.onnx", "weights.data", "parts/1"]


def test_an_input_example_stays_behind() -> None:
    example = ONNX + "saved_input_example_info: {artifact_path: input_example.json}\n"
    files = ("input_example.json", "serving_input_example.json", "model.onnx")
    assert kept(example, *files) == ["model.onnx"]


@pytest.mark.parametrize(
    ("description", "says"),
    [
        pytest.param("flavors: {sklearn: {}, python_function: {}}", "python_function, sklearn", id="another flavor"),
        pytest.param("flavors: {}", "flavors: none", id="no flavor"),
        pytest.param("flavors: [onnx]", "flavors: none", id="flavors that are no mapping"),
        pytest.param("flavors: {onnx: {data: other.onnx}}", "'other.onnx'", id="a file that is not there"),
        pytest.param("flavors: {onnx: {data: [a]}}", "not among its files", id="a path that is none"),
        pytest.param("a: [", "is not YAML", id="not YAML"),
        pytest.param("[" * 100_000, "nested deeper", id="brackets that would overflow the stack"),
        pytest.param("- " * 100_000, "nested deeper", id="dashes that would overflow the stack"),
        pytest.param("text", "is no mapping", id="not a mapping"),
        pytest.param("!!python/object/apply:os.system ['true']", "is not YAML", id="YAML that would run code"),
    ],
)
def test_a_description_that_leads_to_no_onnx_file_is_refused(description: str, says: str) -> None:
    with pytest.raises(NotServableError, match=says):
        choose_files(description, listing("MLmodel", "model.onnx"), name="the model")
