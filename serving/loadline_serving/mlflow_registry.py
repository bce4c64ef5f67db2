"""What does the MLflow registry say of a model, and where do its files lie?

Asked over REST: MLflow's own client would be larger than all else that serving needs.
"""

import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import FilePath
from loadline_contracts.model_uri import RegisteredAlias, RegisteredVersion
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from loadline_serving.bucket import Bucket, BucketFile
from loadline_serving.download import Remote
from loadline_serving.errors import StartupFault
from loadline_serving.patience import patiently
from loadline_serving.web import StatusError, Web, WebFile

_API = "api/2.0/mlflow"
_ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
_READY = "READY"
_MOST_FILES = 1000
_MOST_HOPS = 4
_FILE_PATH: TypeAdapter[str] = TypeAdapter(FilePath)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class _Version(_Answer):
    version: str
    status: str = _READY
    status_message: str = ""


class _VersionAnswer(_Answer):
    model_version: _Version


class _DownloadAnswer(_Answer):
    artifact_uri: str


class _Run(_Answer):
    info: _DownloadAnswer


class _RunAnswer(_Answer):
    run: _Run


class _LoggedModelAnswer(_Answer):
    model: _Run


class _ListedArtifact(_Answer):
    path: str
    is_dir: bool = False


class _ListingAnswer(_Answer):
    files: tuple[_ListedArtifact, ...] = ()


class _ErrorAnswer(_Answer):
    error_code: str = ""
    message: str = ""


_A = TypeVar("_A", bound=_Answer)


@dataclass(frozen=True, kw_only=True)
class RegisteredFile:
    """One file of a version."""

    path: str
    """Where it lies relative to the model's folder."""
    remote: Remote


class Registry:
    """An MLflow tracking server, named by the variables that MLflow's own client reads."""

    def __init__(self, *, say: Callable[[str], None], ca_bundle: Path | None = None) -> None:
        self.url = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise StartupFault(
                Reason.BAD_SETTINGS,
                f"MLFLOW_TRACKING_URI is {self.url!r}; models:/ is looked up there: set it to http(s)://host:port",
            )
        self._web = Web(authorization=_authorization(), ca_bundle=ca_bundle)
        self._ca_bundle = ca_bundle
        self._say = say
        self._what = f"the registry at {self.url}"

    def version(self, reference: RegisteredVersion | RegisteredAlias) -> str:
        """The version that a reference leads to, which must be ready."""
        if isinstance(reference, RegisteredAlias):
            query = {"name": reference.name, "alias": reference.alias}
            found = self._ask(f"{_API}/registered-models/alias", _VersionAnswer, query)
            reason = Reason.ALIAS_NOT_FOUND
        else:
            query = {"name": reference.name, "version": reference.version}
            found = self._ask(f"{_API}/model-versions/get", _VersionAnswer, query)
            reason = Reason.VERSION_NOT_FOUND
        if found is None:
            raise StartupFault(reason, f"{self._what} has no {reference.uri}; register it, or correct the name")
        version = found.model_version
        if version.status != _READY:
            raise StartupFault(
                Reason.VERSION_NOT_READY,
                f"version {version.version} of {reference.name!r} is {version.status}: {version.status_message}".rstrip(
                    ": "
                ),
            )
        return version.version

    def files(self, name: str, version: str) -> list[RegisteredFile]:
        """Every file of a version, wherever the registry keeps it."""
        title = f"version {version} of {name!r} in {self._what}"
        uri = self._location(name, version, title)
        address = urlsplit(uri)
        ours = not address.netloc or address.netloc == urlsplit(self.url).netloc
        if address.scheme == "s3":
            found = self._in_bucket(address.netloc, address.path.strip("/"))
        elif address.scheme == "mlflow-artifacts" and ours:
            found = self._proxied(address.path.strip("/"))
        elif address.scheme in {"http", "https"} and ours and f"/{_ARTIFACTS}/" in address.path:
            found = self._proxied(address.path.partition(f"/{_ARTIFACTS}/")[2].strip("/"))
        else:
            raise StartupFault(
                Reason.NOT_SERVABLE,
                f"the files of {title} lie at {uri or 'no address'}, which is not read from here; run the tracking "
                "server with --serve-artifacts, or keep artifacts in S3",
            )
        if not found:
            raise StartupFault(Reason.NOT_SERVABLE, f"{title} has no files at {uri}; log the model again")
        return found

    def _location(self, name: str, version: str, title: str) -> str:
        """The address of the version's files; what MLflow states in terms of runs and models is followed."""
        query = {"name": name, "version": version}
        address = self._ask(f"{_API}/model-versions/get-download-uri", _DownloadAnswer, query)
        uri = address.artifact_uri if address else ""
        for _ in range(_MOST_HOPS):
            if uri.startswith("models:/m-"):
                identifier = uri.removeprefix("models:/")
                logged = self._ask(f"{_API}/logged-models/{quote(identifier)}", _LoggedModelAnswer, {})
                uri = logged.model.info.artifact_uri if logged else ""
            elif uri.startswith("runs:/"):
                identifier, _, path = uri.removeprefix("runs:/").partition("/")
                run = self._ask(f"{_API}/runs/get", _RunAnswer, {"run_id": identifier})
                uri = f"{run.run.info.artifact_uri.rstrip('/')}/{path}" if run else ""
            else:
                return uri
        raise StartupFault(Reason.NOT_SERVABLE, f"the files of {title} lead in a circle ({uri}); log the model again")

    def _in_bucket(self, name: str, prefix: str) -> list[RegisteredFile]:
        bucket = Bucket(name, ca_bundle=self._ca_bundle)
        keys = patiently(lambda: bucket.listing(prefix), f"s3://{name}/{prefix}", self._say)
        _expect_few(len(keys), f"s3://{name}/{prefix}")
        return [
            RegisteredFile(path=_safe(key.removeprefix(prefix).lstrip("/")), remote=BucketFile(bucket, key))
            for key, _ in keys
        ]

    def _proxied(self, root: str) -> list[RegisteredFile]:
        found: list[str] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            listing = self._ask(_ARTIFACTS, _ListingAnswer, {"path": _joined(root, folder)})
            for item in listing.files if listing else ():
                (folders if item.is_dir else found).append(_safe(_joined(folder, item.path)))
            _expect_few(len(found) + len(folders), _joined(root, folder))
        return [RegisteredFile(path=path, remote=self._artifact(_joined(root, path))) for path in found]

    def _artifact(self, path: str) -> Remote:
        return WebFile(self._web, f"{self.url}/{_ARTIFACTS}/{quote(path, safe='/')}")

    def _ask(self, path: str, answer: type[_A], query: dict[str, str]) -> _A | None:
        """Ask, and read the answer; None where MLflow says that there is no such thing."""
        url = f"{self.url}/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            body = patiently(lambda: self._web.read(url), self._what, self._say)
        except StatusError as error:
            said = _error_of(error.body)
            if said.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise self._refusal(error, said) from error
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            raise StartupFault(
                Reason.REGISTRY_UNAVAILABLE,
                f"{self._what} gave an answer to /{path} that is not MLflow's; correct MLFLOW_TRACKING_URI",
            ) from error

    def _refusal(self, error: StatusError, said: _ErrorAnswer) -> StartupFault:
        if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            remedy = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        else:
            remedy = "correct MLFLOW_TRACKING_URI"
        told = f"{error}: {said.message[:200]}".rstrip(": ")
        return StartupFault(Reason.REGISTRY_UNAVAILABLE, f"{self._what} refuses the question: {told}; {remedy}")


def _authorization() -> str | None:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        login = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return f"Basic {b64encode(login.encode()).decode()}"
    return None


def _error_of(body: bytes) -> _ErrorAnswer:
    try:
        return _ErrorAnswer.model_validate_json(body)
    except ValidationError:
        return _ErrorAnswer()


def _expect_few(count: int, where: str) -> None:
    if count > _MOST_FILES:
        raise StartupFault(
            Reason.NOT_SERVABLE, f"there are more than {_MOST_FILES} files at {where}; log the ONNX model alone"
        )


def _safe(path: Any) -> str:
    """A path that stays inside the folder it is written to."""
    try:
        return _FILE_PATH.validate_python(path)
    except ValidationError as error:
        raise StartupFault(
            Reason.NOT_SERVABLE, f"a file of the model cannot be kept: {error.errors()[0]['msg']}"
        ) from error


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
