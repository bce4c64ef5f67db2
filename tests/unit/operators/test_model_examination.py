"""Are exactly the files kept that serving needs?"""

from itertools import pairwise

import pytest
from loadline_operators.model_errors import NotServableError
from loadline_operators.model_examination import choose_files
from loadline_operators.model_sources import ListedFile

ONNX = "flavors:\n  onnx: {data: model.onnx}\n"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 10)}]\n" for of, name in pairwise("abcdefghi")
)


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
        pytest.param("flavors: {onnx: {data: [a]}}", "names no file", id="a path that is none"),
        pytest.param(
            f"{BOMB}flavors: {{onnx: {{data: *i}}}}", "names no file", id="a path whose text fills the memory"
        ),
        pytest.param("a: [", "is not YAML", id="not YAML"),
        pytest.param("[" * 100_000, "nested deeper", id="brackets that would overflow the stack"),
        pytest.param("- " * 100_000, "nested deeper", id="dashes that would overflow the stack"),
        pytest.param("text", "is no mapping", id="not a mapping"),
        pytest.param("a: &a [*a]", "is not YAML", id="a list that holds itself"),
        pytest.param("!!python/object/apply:os.system ['true']", "is no mapping", id="YAML that would run code"),
    ],
)
def test_a_description_that_leads_to_no_onnx_file_is_refused(description: str, says: str) -> None:
    with pytest.raises(NotServableError, match=says):
        choose_files(description, listing("MLmodel", "model.onnx"), name="the model")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("2026-13-45 00:00:00", id="a date that no calendar has"),
        pytest.param("!!int ''", id="a number without digits"),
        pytest.param("!!timestamp x", id="a text that is called a date"),
        pytest.param("!!binary é", id="a text that is called base64"),
        pytest.param("!!set [a]", id="a list that is called a set"),
        pytest.param("!!bool maybe", id="a text that is called true or false"),
        pytest.param("!!python/name:os.system ''", id="a name of Python's"),
    ],
)
def test_nothing_that_serving_does_not_read_can_make_a_description_unreadable(value: str) -> None:
    assert kept(f"{ONNX}utc_time_created: {value}\n", "MLmodel", "model.onnx") == ["model.onnx"]
