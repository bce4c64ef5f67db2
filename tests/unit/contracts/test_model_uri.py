"""Which spellings of a model are understood, and what do the others get?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_contracts.model_uri import (
    ModelReference,
    ModelUriError,
    PlainFile,
    RegisteredAlias,
    RegisteredVersion,
    parse_model_uri,
)

SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("models:/iris/7", RegisteredVersion(name="iris", version="7"), id="a version"),
        pytest.param("models:/a b.c-d_é/12", RegisteredVersion(name="a b.c-d_é", version="12"), id="an odd name"),
        pytest.param("models:/iris@champion", RegisteredAlias(name="iris", alias="champion"), id="an alias"),
        pytest.param("models:/iris@blue-2_x", RegisteredAlias(name="iris", alias="blue-2_x"), id="an odd alias"),
    ],
)
def test_a_registered_model_is_named_by_version_or_alias(uri: str, expected: ModelReference) -> None:
    found = parse_model_uri(uri)
    assert found == expected
    assert found.uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://files.example/models/iris.onnx",
        "https://files.example:8443/iris.onnx?version=3",
        "s3://bucket-1.data/models/iris.onnx",
    ],
)
def test_a_plain_file_is_named_by_address_and_sha256(uri: str) -> None:
    assert parse_model_uri(uri, SHA256) == PlainFile(uri=uri, sha256=SHA256)


@pytest.mark.parametrize(
    ("uri", "sha256", "says"),
    [
        pytest.param("iris", None, "names no model", id="a bare name"),
        pytest.param("http://files.example/a.onnx", SHA256, "names no model", id="http without TLS"),
        pytest.param("file:///etc/passwd", SHA256, "names no model", id="a local file"),
        pytest.param("runs:/abc/model", None, "names no model", id="a run"),
        pytest.param("models:/", None, "models:/name/7", id="no name"),
        pytest.param("models://iris/7", None, "models:/name/7", id="two slashes"),
        pytest.param("models:/iris", None, "names no version", id="no version"),
        pytest.param("models:/iris/latest", None, "are not followed", id="latest"),
        pytest.param("models:/iris/Production", None, "are not followed", id="a stage"),
        pytest.param("models:/iris/07", None, "names no version", id="a version with a zero before it"),
        pytest.param("models:/iris/7/files", None, "names no version", id="more than a version"),
        pytest.param("models:/iris@", None, "names no alias", id="an empty alias"),
        pytest.param("models:/iris@a/b", None, "names no alias", id="an alias with a slash"),
        pytest.param("models:/iris@latest", None, "of your own", id="the alias that MLflow keeps"),
        pytest.param("models:/iris@V3", None, "of your own", id="an alias that looks like a version"),
        pytest.param("models:/iris/7", SHA256, "takes no sha256", id="a version with sha256"),
        pytest.param("https://files.example/a.onnx", None, "needs sha256", id="a file without sha256"),
        pytest.param("s3://bucket/a.onnx", "ABC", "64 lower-case", id="a short sha256"),
        pytest.param("s3://bucket/a.onnx", SHA256.upper(), "64 lower-case", id="an upper-case sha256"),
        pytest.param("https://me:secret@files.example/a", SHA256, "no user or password", id="a password"),
        pytest.param("https://files.example/", SHA256, "names no file", id="a host alone"),
        pytest.param("https://files.example/folder/", SHA256, "names no file", id="a folder"),
        pytest.param("https://files.example/a#b", SHA256, "names no file", id="a fragment"),
        pytest.param("https://files.example/a b", SHA256, "white space", id="a space"),
        pytest.param("https://files.example:x/a", SHA256, "is no address", id="a port that is none"),
        pytest.param("s3://Bucket_1/a.onnx", SHA256, "names no bucket", id="a bucket that S3 does not allow"),
    ],
)
def test_everything_else_is_refused_with_what_to_write(uri: str, sha256: str | None, says: str) -> None:
    with pytest.raises(ModelUriError, match=says):
        parse_model_uri(uri, sha256)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    for uri in (text, f"models:/{text}", f"https://{text}", f"s3://{text}"):
        try:
            found = parse_model_uri(uri, None if uri.startswith("models:/") else SHA256)
        except ModelUriError:
            continue
        assert found.uri == uri
