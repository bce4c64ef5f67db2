"""Does a manifest name its files, and nothing outside its folder, in one way only?"""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_contracts.model_files import (
    ModelFile,
    ModelManifest,
    VersionPin,
    file_key,
    manifest_key,
    pin_key,
)
from pydantic import ValidationError

ONNX = ModelFile(path="model.onnx", size=3, sha256=hashlib.sha256(b"abc").hexdigest())
A, A_B = ONNX.model_copy(update={"path": "a"}), ONNX.model_copy(update={"path": "a/b"})
WEIGHTS = ModelFile(path="data/model.onnx.data", size=0, sha256=hashlib.sha256(b"").hexdigest())


def test_the_digest_is_taken_of_compact_json_with_sorted_keys() -> None:
    manifest = ModelManifest(entry="model.onnx", files=(ONNX,))
    expected = (
        b'{"entry":"model.onnx","files":[{"path":"model.onnx",'
        b'"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3}]}'
    )
    assert manifest.canonical_json() == expected
    assert manifest.digest == "sha256:" + hashlib.sha256(expected).hexdigest()


def test_the_order_of_files_does_not_change_the_digest() -> None:
    digests = {
        ModelManifest(entry="model.onnx", files=files).digest for files in itertools.permutations((ONNX, WEIGHTS))
    }
    assert len(digests) == 1


def test_a_manifest_survives_being_written_and_read() -> None:
    manifest = ModelManifest(entry="model.onnx", files=(WEIGHTS, ONNX))
    again = ModelManifest.model_validate_json(manifest.canonical_json())
    assert again.digest == manifest.digest
    assert again.size == 3


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "", "a/", "a\\b", "a\x00b", "a\nb", "x" * 600],
)
def test_a_path_that_could_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        ModelFile(path=path, size=1, sha256=ONNX.sha256)


@pytest.mark.parametrize(
    ("entry", "files", "complaint"),
    [
        ("other.onnx", (ONNX,), "not among the files"),
        ("model.onnx", (ONNX, ONNX), "listed twice"),
        ("a", (A, A_B), "file and a folder"),
        ("model.onnx", (), "at least 1"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    entry: str, files: tuple[ModelFile, ...], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ModelManifest(entry=entry, files=files)


def test_keys_follow_the_layout_of_the_bucket() -> None:
    digest = "sha256:" + "ab" * 32
    assert manifest_key(digest) == f"models/{'ab' * 32}/manifest.json"
    assert file_key(digest, "data/my weights") == f"models/{'ab' * 32}/files/data/my%20weights"
    assert pin_key("mlflow", "fraud/eu", "7") == "pins/mlflow/fraud%2Feu/7.json"


def test_a_key_of_something_that_is_no_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="no model digest"):
        manifest_key("md5:1")


def test_a_pin_holds_a_whole_digest() -> None:
    with pytest.raises(ValidationError):
        VersionPin(digest="sha256:12")


@given(st.text())
def test_an_accepted_path_keeps_its_parts_inside_the_folder(path: str) -> None:
    try:
        file = ModelFile(path=path, size=0, sha256=ONNX.sha256)
    except ValidationError:
        return
    assert not file.path.startswith("/")
    assert not {"", ".", ".."}.intersection(file.path.split("/"))
