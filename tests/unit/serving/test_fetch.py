"""Do a model's files arrive verified, whatever the store does meanwhile?"""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import obstore
import pytest
from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import MANIFEST_NAME, ModelManifest, file_key, manifest_key
from loadline_serving import fetch as fetching
from loadline_serving.errors import StartupFault
from loadline_serving.fetch import fetch, open_store
from loadline_serving.settings import FetchSettings
from obstore.exceptions import BaseError
from support.certificates import Authority
from support.model_folders import manifest_of, put_in_store
from support.s3_folder import s3_over
from typing_extensions import override

FILES = {"model.onnx": b"graph", "data/weights #1.bin": bytes(range(256)) * 8, "empty": b""}


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "bucket"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    folder = tmp_path / "pod"
    folder.mkdir()
    return folder


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FetchSettings]:
    with ExitStack() as stack:
        if request.param == "folder":
            yield at(f"file://{bucket}")
        else:
            endpoint = stack.enter_context(s3_over(bucket.parent))
            yield at_s3(endpoint, monkeypatch)


def at(url: str) -> FetchSettings:
    return FetchSettings(model_digest="sha256:" + "0" * 64, store_url=url)


def at_s3(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, ca_bundle: Path | None = None) -> FetchSettings:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return FetchSettings(
        model_digest="sha256:" + "0" * 64,
        store_url="s3://bucket",
        store_endpoint=endpoint,
        store_region="here",
        ca_bundle=ca_bundle,
    )


class Warnings(logging.Handler):
    """Hears what is logged, and says when it was the second time."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.twice = asyncio.Event()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        if len(self.texts) == 2:
            self.twice.set()


def contents(pod: Path) -> dict[str, bytes]:
    folder = pod / "files"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_all_files_arrive_with_their_manifest(bucket: Path, pod: Path, settings: FetchSettings) -> None:
    manifest = put_in_store(bucket, FILES)
    await fetch(open_store(settings), manifest.digest, pod)
    assert contents(pod) == FILES
    assert ModelManifest.model_validate_json((pod / MANIFEST_NAME).read_bytes()).digest == manifest.digest


async def test_a_file_larger_than_a_piece_is_put_together(
    bucket: Path, pod: Path, settings: FetchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 100)
    manifest = put_in_store(bucket, FILES)
    await fetch(open_store(settings), manifest.digest, pod)
    assert contents(pod) == FILES


async def test_a_second_run_leaves_right_files_alone_and_repairs_wrong_ones(bucket: Path, pod: Path) -> None:
    manifest = put_in_store(bucket, FILES)
    store = open_store(at(f"file://{bucket}"))
    await fetch(store, manifest.digest, pod)
    right, wrong = pod / "files/model.onnx", pod / "files/data/weights #1.bin"
    before = right.stat().st_mtime_ns, right.stat().st_ino
    wrong.write_bytes(b"\x00" * len(FILES["data/weights #1.bin"]))
    await fetch(store, manifest.digest, pod)
    assert (right.stat().st_mtime_ns, right.stat().st_ino) == before
    assert contents(pod) == FILES


@pytest.mark.parametrize(
    ("key", "data", "words"),
    [
        ("manifest", manifest_of({"model.onnx": b"other"}).canonical_json(), "has digest sha256:"),
        ("manifest", b"{}", "is no manifest"),
        ("manifest", b'{"entry":"../x","files":[{"path":"../x","size":1,"sha256":""}]}', "is no manifest"),
        ("model.onnx", b"GRAPH", "has sha256"),
        ("model.onnx", b"graph and more", "has 14 bytes; its manifest says 5"),
    ],
    ids=["another manifest", "no manifest", "a path that leaves", "other bytes", "another length"],
)
async def test_what_the_digest_does_not_name_is_refused(
    bucket: Path, settings: FetchSettings, key: str, data: bytes, words: str
) -> None:
    pod = bucket.parent / "pod"
    pod.mkdir()
    manifest = put_in_store(bucket, FILES)
    changed = manifest_key(manifest.digest) if key == "manifest" else file_key(manifest.digest, key)
    (bucket / changed).write_bytes(data)
    with pytest.raises(StartupFault, match=words) as caught:
        await fetch(open_store(settings), manifest.digest, pod)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert not (pod / MANIFEST_NAME).exists()
    assert not (pod / "files/model.onnx").exists()


async def test_a_model_that_is_not_there_is_a_definite_fault(bucket: Path, pod: Path, settings: FetchSettings) -> None:
    put_in_store(bucket, FILES)
    with pytest.raises(StartupFault, match="is not on the object store") as caught:
        await fetch(open_store(settings), "sha256:" + "1" * 64, pod)
    assert caught.value.reason is Reason.MODEL_FILES_UNAVAILABLE


async def test_a_folder_that_cannot_be_written_is_a_definite_fault(bucket: Path, pod: Path) -> None:
    manifest = put_in_store(bucket, FILES)
    (pod / "files").write_bytes(b"a file where the folder should be")
    with pytest.raises(StartupFault, match="cannot write") as caught:
        await fetch(open_store(at(f"file://{bucket}")), manifest.digest, pod)
    assert caught.value.reason is Reason.MODEL_FILES_UNAVAILABLE


async def test_a_store_that_is_away_is_waited_for(bucket: Path, pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = put_in_store(bucket, FILES)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = at_s3(f"http://127.0.0.1:{port}", monkeypatch)
    warnings = Warnings()
    logging.getLogger(fetching.__name__).addHandler(warnings)
    work = asyncio.create_task(fetch(open_store(settings), manifest.digest, pod))
    async with asyncio.timeout(10):
        await warnings.twice.wait()
    assert set(warnings.texts) == {"Waiting for the object store"}
    with s3_over(bucket.parent, port):
        async with asyncio.timeout(10):
            await work
    assert contents(pod) == FILES


def test_the_wait_between_tries_grows_to_five_seconds_and_never_ends() -> None:
    delays = fetching._delays()
    first = [next(delays) for _ in range(8)]
    assert first == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


def test_a_store_of_an_unknown_kind_is_a_bad_setting() -> None:
    with pytest.raises(StartupFault, match="LOADLINE_STORE_URL ftp://x") as caught:
        open_store(at("ftp://x"))
    assert caught.value.reason is Reason.BAD_SETTINGS


async def test_a_store_of_the_companys_own_authority_is_trusted_by_its_bundle(
    bucket: Path, pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Authority(tmp_path)
    manifest = put_in_store(bucket, FILES)
    with s3_over(bucket.parent, certificate=company.for_localhost()) as endpoint:
        settings = at_s3(endpoint, monkeypatch, ca_bundle=company.bundle)
        async with asyncio.timeout(10):
            await fetch(open_store(settings), manifest.digest, pod)
    assert contents(pod) == FILES


@pytest.mark.parametrize("trusted", ["nobody", "another"])
async def test_a_store_of_an_unknown_authority_is_not_spoken_to(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    key = manifest_key(put_in_store(bucket, FILES).digest)
    bundle = None if trusted == "nobody" else Authority(tmp_path, name=trusted).bundle
    with s3_over(bucket.parent, certificate=Authority(tmp_path).for_localhost()) as endpoint:
        store = open_store(at_s3(endpoint, monkeypatch, ca_bundle=bundle))
        with pytest.raises(BaseError) as caught:
            await obstore.get_async(store, key)
    assert fetching.said_by_store(caught.value).endswith("(certificate not accepted: UnknownIssuer)")


async def test_whom_the_image_trusts_stays_trusted_beside_the_bundle(
    bucket: Path, pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, company = Authority(tmp_path, name="public"), Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public.bundle))
    manifest = put_in_store(bucket, FILES)
    with s3_over(bucket.parent, certificate=public.for_localhost()) as endpoint:
        settings = at_s3(endpoint, monkeypatch, ca_bundle=company.bundle)
        async with asyncio.timeout(10):
            await fetch(open_store(settings), manifest.digest, pod)
    assert contents(pod) == FILES


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "something else"])
def test_a_bundle_without_certificates_is_a_bad_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(StartupFault, match=r"LOADLINE_CA_BUNDLE .*ca\.pem") as caught:
        open_store(at_s3("https://store.example.com", monkeypatch, ca_bundle=bundle))
    assert caught.value.reason is Reason.BAD_SETTINGS


async def test_a_store_behind_a_proxy_is_reached_through_it(
    bucket: Path, pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = put_in_store(bucket, FILES)
    with s3_over(bucket.parent) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        settings = at_s3("http://store.invalid:9000", monkeypatch)
        async with asyncio.timeout(10):
            await fetch(open_store(settings), manifest.digest, pod)
    assert contents(pod) == FILES


def test_a_google_bucket_opens_though_the_operator_always_names_a_region() -> None:
    settings = FetchSettings(model_digest="sha256:" + "0" * 64, store_url="gs://bucket", store_region="us-east-1")
    assert open_store(settings) is not None
