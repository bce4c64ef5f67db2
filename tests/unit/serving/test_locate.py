"""Does every spelling of MODEL lead to a file on this machine, and every wrong one to a sentence?"""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from loadline_contracts.conditions import Reason
from loadline_serving import patience, web
from loadline_serving.errors import StartupFault
from loadline_serving.locate import Located, cache_folder, locate
from loadline_serving.screen import Screen
from support import onnx_models, serving_graphs
from support.certificates import Authority
from support.model_folders import put_in_pod
from support.s3_folder import s3_over
from support.web_server import Reply, WebServer, web_server

GRAPH = serving_graphs.classifier()
DIGEST = hashlib.sha256(GRAPH).hexdigest()
MLMODEL = b"flavors:\n  onnx:\n    code: null\n    data: model.onnx\n  python_function:\n    data: elsewhere\n"


@pytest.fixture(autouse=True)
def _cached_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.001)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)


def found(word: object, *, sha256: str | None = None, ca_bundle: Path | None = None) -> Located:
    return locate(str(word), sha256=sha256, screen=Screen(io.StringIO()), ca_bundle=ca_bundle)


def refused(word: object, *, sha256: str | None = None) -> StartupFault:
    with pytest.raises(StartupFault) as caught:
        found(word, sha256=sha256)
    return caught.value


def laid_down(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_a_file_is_itself_and_called_by_its_stem(tmp_path: Path) -> None:
    path = laid_down(tmp_path, fraud__onnx=GRAPH) / "fraud.onnx"
    located = found(path, sha256=DIGEST)
    assert (located.entry, located.name, located.version, located.size) == (path, "fraud", None, len(GRAPH))


def test_a_file_of_another_digest_is_refused(tmp_path: Path) -> None:
    path = laid_down(tmp_path, fraud__onnx=GRAPH) / "fraud.onnx"
    assert refused(path, sha256="0" * 64).reason is Reason.DIGEST_MISMATCH
    assert "64 lower-case hex digits" in refused(path, sha256="abc").message


@pytest.mark.parametrize(
    ("files", "entry"),
    [
        ({"any__onnx": GRAPH, "notes__txt": b""}, "any.onnx"),
        ({"MLmodel": MLMODEL, "model__onnx": GRAPH, "other__onnx": GRAPH}, "model.onnx"),
    ],
    ids=["one ONNX file", "MLflow"],
)
def test_a_folder_leads_to_its_onnx_file_and_gives_the_name(
    tmp_path: Path, files: dict[str, bytes], entry: str
) -> None:
    located = found(laid_down(tmp_path / "fraud", **files))
    assert (located.entry, located.name) == (tmp_path / "fraud" / entry, "fraud")


def test_a_folder_of_fetch_is_verified(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    put_in_pod(folder, {"m.onnx": GRAPH, "model.onnx": GRAPH})
    assert found(folder).entry == folder / "files" / "model.onnx"
    (folder / "files" / "m.onnx").write_bytes(b"other")
    assert refused(folder).reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "not exactly one .onnx file (none); name the file"),
        ({"a__onnx": GRAPH, "b__onnx": GRAPH}, "(a.onnx, b.onnx); name the file"),
        ({"MLmodel": b"flavors:\n  sklearn: {}\n  python_function: {}\n"}, "lists sklearn, python_function"),
        ({"MLmodel": MLMODEL}, "names model.onnx, which is not there"),
        ({"manifest__json": b"{}"}, "cannot read"),
    ],
)
def test_a_folder_without_a_model_says_what_there_is(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    assert says in refused(laid_down(tmp_path / "folder", **files)).message


def test_weights_that_are_not_beside_the_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load_from_string(onnx_models.linear(2.0))
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert found(path).size == path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    (tmp_path / "weights.bin").unlink()
    assert "keeps weights in weights.bin, which is not beside it" in refused(path).message


@pytest.mark.parametrize("as_option", [True, False])
def test_an_https_file_is_downloaded_and_verified(tmp_path: Path, as_option: bool) -> None:
    authority = Authority(tmp_path)
    with web_server({"/a/fraud.onnx?key=secret": [Reply(body=GRAPH)]}, certificate=authority.for_localhost()) as server:
        word = f"{server.url}/a/fraud.onnx?key=secret"
        located = (
            found(word, sha256=DIGEST, ca_bundle=authority.bundle)
            if as_option
            else found(f"{word}#sha256={DIGEST}", ca_bundle=authority.bundle)
        )
    assert (located.entry.read_bytes(), located.name) == (GRAPH, "fraud")


def test_a_certificate_that_nobody_vouches_for_is_not_taken(tmp_path: Path) -> None:
    with web_server({"/m.onnx": [Reply(body=GRAPH)]}, certificate=Authority(tmp_path).for_localhost()) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(f"{server.url}/m.onnx").message


def test_an_overloaded_server_is_asked_again() -> None:
    with web_server({"/m.onnx": [Reply(status=503), Reply(status=429), Reply(body=GRAPH)]}) as server:
        assert found(f"{server.url}/m.onnx").entry.read_bytes() == GRAPH
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "says"), [(404, "there is no such file"), (403, "may not read it, or the address has expired")]
)
def test_a_refusal_is_not_asked_again_and_keeps_secrets(status: int, says: str) -> None:
    with web_server({"/m.onnx?key=secret": [Reply(status=status)]}) as server:
        message = refused(f"{server.url}/m.onnx?key=secret").message
    assert says in message
    assert "secret" not in message
    assert len(server.asked) == 1


def test_a_redirect_is_followed_but_not_with_what_opens_the_first_door() -> None:
    with web_server({"/real.onnx": [Reply(body=GRAPH)]}) as second:
        reply = Reply(status=302, headers={"Location": f"{second.url}/real.onnx"})
        with web_server({"/m.onnx": [reply]}) as first:
            client = web.Web(authorization="Bearer secret")
            assert client.read(f"{first.url}/m.onnx") == GRAPH
    assert first.asked[0][1]["Authorization"] == "Bearer secret"
    assert "Authorization" not in second.asked[0][1]


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    reply = Reply(status=302, headers={"Location": "http://localhost/m.onnx"})
    with (
        web_server({"/m.onnx": [reply]}, certificate=authority.for_localhost()) as server,
        pytest.raises(StartupFault, match="redirects from https to http://localhost"),
    ):
        found(f"{server.url}/m.onnx", ca_bundle=authority.bundle)


@pytest.mark.parametrize(
    ("word", "sha256", "says"),
    [
        ("http://example.com/m.onnx", None, "use https, or give --sha256"),
        ("https://example.com/folder/", None, "names no file"),
        ("https://example.com/a/%2e%2e", None, "names no file"),
        ("https://example.com/%00.onnx", None, "names no file"),
        ("https://example.com/m.onnx#md5=1", None, "only sha256=<64 hex digits> is known"),
        (f"https://example.com/m.onnx#sha256={DIGEST}", "0" * 64, "give one of them"),
        ("s3://bucket/", None, "names no file"),
        ("gs://bucket/m.onnx", None, "names no model"),
        ("models:/fraud/latest", None, "stages and 'latest' are not followed"),
        ("models:/fraud/1", DIGEST, "takes no sha256"),
        ("models:/fraud/1", None, "MLFLOW_TRACKING_URI is ''"),
        ("nowhere", None, "there is no file or folder nowhere"),
    ],
)
def test_a_word_that_leads_nowhere_says_why(word: str, sha256: str | None, says: str) -> None:
    assert says in refused(word, sha256=sha256).message


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store with `bucket/a/fraud #1.onnx`."""
    laid_down(tmp_path / "store" / "bucket" / "a").joinpath("fraud #1.onnx").write_bytes(GRAPH)
    with s3_over(tmp_path / "store") as url:
        for name, value in (
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", "reader"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ):
            monkeypatch.setenv(name, value)
        yield url


@pytest.mark.usefixtures("endpoint")
def test_an_s3_object_is_downloaded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadline_serving.bucket.CHUNK_BYTES", 100)
    located = found("s3://bucket/a/fraud%20%231.onnx", sha256=DIGEST)
    assert (located.entry.read_bytes(), located.name) == (GRAPH, "fraud #1")


@pytest.mark.usefixtures("endpoint")
def test_an_s3_object_that_is_not_there_is_named() -> None:
    assert refused("s3://bucket/a/other.onnx").message.startswith("s3://bucket/a/other.onnx is not there")


def test_a_store_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fault = refused("s3://bucket/m.onnx")
    assert fault.reason is Reason.SOURCE_UNAVAILABLE
    assert "given up after 5 attempts" in fault.message


API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def says(**values: object) -> list[Reply]:
    return [Reply(body=json.dumps(values).encode())]


def registry(mlmodel: bytes = MLMODEL, uri: str = "mlflow-artifacts:/1/run/model") -> dict[str, list[Reply]]:
    """A registry with version 3 of `fraud`, which the alias champion points to."""
    return {
        f"{API}/registered-models/alias?name=fraud&alias=champion": says(model_version={"version": "3"}),
        f"{API}/model-versions/get?name=fraud&version=3": says(model_version={"version": "3", "status": "READY"}),
        f"{API}/model-versions/get-download-uri?name=fraud&version=3": says(artifact_uri="models:/m-1"),
        f"{API}/logged-models/m-1": says(model={"info": {"artifact_uri": "runs:/r1/model"}}),
        f"{API}/runs/get?run_id=r1": says(run={"info": {"artifact_uri": uri.removesuffix("/model")}}),
        f"{ARTIFACTS}?path=1%2Frun%2Fmodel": says(
            files=[{"path": "MLmodel"}, {"path": "model.onnx"}, {"path": "extra", "is_dir": True}]
        ),
        f"{ARTIFACTS}?path=1%2Frun%2Fmodel%2Fextra": says(files=[{"path": "notes.txt"}]),
        f"{ARTIFACTS}/1/run/model/MLmodel": [Reply(body=mlmodel)],
        f"{ARTIFACTS}/1/run/model/model.onnx": [Reply(body=GRAPH)],
        f"{ARTIFACTS}/1/run/model/extra/notes.txt": [Reply(body=b"notes")],
    }


def tracking(server: WebServer, monkeypatch: pytest.MonkeyPatch, **login: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    for name, value in login.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name.upper()}", value)


@pytest.mark.parametrize("word", ["models:/fraud/3", "models:/fraud@champion"])
@pytest.mark.parametrize(
    ("login", "header"),
    [({"token": "t"}, "Bearer t"), ({"username": "me", "password": "p"}, "Basic bWU6cA==")],
    ids=["token", "password"],
)
def test_a_registered_version_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, word: str, login: dict[str, str], header: str
) -> None:
    with web_server(registry()) as server:
        tracking(server, monkeypatch, **login)
        located = found(word)
    assert (located.name, located.version, located.entry.read_bytes()) == ("fraud", "3", GRAPH)
    assert (located.entry.parent / "extra" / "notes.txt").read_bytes() == b"notes"
    assert {headers["Authorization"] for _, headers in server.asked} == {header}


@pytest.mark.usefixtures("endpoint")
def test_a_registered_version_in_a_bucket_is_read_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "store" / "bucket"
    laid_down(listing / "run" / "model", MLmodel=MLMODEL, model__onnx=GRAPH)
    with web_server(registry(uri="s3://bucket/run/model")) as server:
        tracking(server, monkeypatch)
        assert found("models:/fraud/3").entry.read_bytes() == GRAPH


def test_a_model_of_another_kind_names_its_flavours_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(registry(mlmodel=b"flavors:\n  sklearn:\n    code: null\n")) as server:
        tracking(server, monkeypatch)
        message = refused("models:/fraud/3").message
    assert "version 3 of 'fraud' has no ONNX flavour; its MLmodel lists sklearn" in message
    assert not any(path.endswith("model.onnx") for path, _ in server.asked)


@pytest.mark.parametrize(
    ("path", "reply", "reason", "words"),
    [
        (
            f"{API}/model-versions/get?name=fraud&version=3",
            Reply(status=404, body=b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}'),
            Reason.VERSION_NOT_FOUND,
            "has no models:/fraud/3; register it",
        ),
        (
            f"{API}/model-versions/get?name=fraud&version=3",
            Reply(status=401),
            Reason.REGISTRY_UNAVAILABLE,
            "set MLFLOW_TRACKING_TOKEN, or",
        ),
        (
            f"{API}/model-versions/get?name=fraud&version=3",
            Reply(body=b"<html>"),
            Reason.REGISTRY_UNAVAILABLE,
            "is not MLflow's; correct MLFLOW_TRACKING_URI",
        ),
        (
            f"{API}/model-versions/get?name=fraud&version=3",
            Reply(body=b'{"model_version": {"version": "3", "status": "PENDING_REGISTRATION"}}'),
            Reason.VERSION_NOT_READY,
            "version 3 of 'fraud' is PENDING_REGISTRATION",
        ),
        (
            f"{API}/runs/get?run_id=r1",
            Reply(body=b'{"run": {"info": {"artifact_uri": "dbfs:/x"}}}'),
            Reason.NOT_SERVABLE,
            "lie at dbfs:/x/model, which is not read from here",
        ),
        (
            f"{ARTIFACTS}?path=1%2Frun%2Fmodel",
            Reply(body=b'{"files": [{"path": "../../x"}]}'),
            Reason.NOT_SERVABLE,
            "is not plain and relative",
        ),
        (f"{ARTIFACTS}?path=1%2Frun%2Fmodel", Reply(body=b"{}"), Reason.NOT_SERVABLE, "has no files at"),
    ],
    ids=["no version", "no login", "no MLflow", "not ready", "another store", "a path that leaves", "nothing there"],
)
def test_a_registry_that_does_not_hand_it_out_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, path: str, reply: Reply, reason: Reason, words: str
) -> None:
    with web_server(registry() | {path: [reply]}) as server:
        tracking(server, monkeypatch)
        fault = refused("models:/fraud/3")
    assert (fault.reason, words in fault.message) == (reason, True), fault.message


def test_without_a_home_downloads_go_to_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOADLINE_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert cache_folder().name.startswith("loadline-serving-")
