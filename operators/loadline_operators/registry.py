"""What does the MLflow registry say of a model?"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadline_operators.model_errors import (
    ModelNotFoundError,
    NotServableError,
    RegistryUnavailableError,
    SourceUnavailableError,
    VersionNotFoundError,
    VersionNotReadyError,
)
from loadline_operators.model_sources import (
    CHUNK_BYTES,
    BucketFiles,
    BucketOptions,
    ListedFile,
    Source,
    http_response,
    quoted,
    refuse_unreadable_listing,
)

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_ANSWER_SECONDS = 10
_MOST_FILES = 1000
_MOST_HOPS = 4
_READY = "READY"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class _Alias(_Answer):
    alias: str
    version: str


class _RegisteredModel(_Answer):
    name: str
    aliases: tuple[_Alias, ...] = ()


class _RegisteredModelAnswer(_Answer):
    registered_model: _RegisteredModel


class _Version(_Answer):
    version: str
    status: str = _READY


class _VersionAnswer(_Answer):
    model_version: _Version


class _DownloadAnswer(_Answer):
    artifact_uri: str


class _ArtifactInfo(_Answer):
    artifact_uri: str


class _Run(_Answer):
    info: _ArtifactInfo


class _RunAnswer(_Answer):
    run: _Run


class _LoggedModelAnswer(_Answer):
    model: _Run


class _ListedArtifact(_Answer):
    path: str
    is_dir: bool = False
    file_size: int = 0


class _ListingAnswer(_Answer):
    files: tuple[_ListedArtifact, ...] = ()


class _ErrorAnswer(_Answer):
    error_code: str = ""
    message: str = Field(default="", max_length=10_000)


_A = TypeVar("_A", bound=_Answer)


@dataclass(frozen=True, kw_only=True)
class RegistryOptions:
    """Where the registry is, and who we are there."""

    url: str
    name: str = "mlflow"
    """What the registry is called in pins and messages: it stays when the address changes."""
    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    def client(self) -> httpx.AsyncClient:
        """A client of this registry."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        login = httpx.BasicAuth(self.username, self.password) if self.username else None
        return httpx.AsyncClient(
            base_url=self.url.rstrip("/"),
            headers=headers,
            auth=login,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=3),
            limits=httpx.Limits(max_connections=16),
            trust_env=False,
        )


class Registry:
    """An MLflow tracking server, asked over REST."""

    def __init__(self, client: httpx.AsyncClient, options: RegistryOptions, buckets: BucketOptions) -> None:
        self.name = options.name
        self._client = client
        self._label = f"the registry at {options.url}"
        self._host = urlsplit(options.url).netloc
        self._buckets = buckets

    async def aliases(self, model: str) -> Mapping[str, str]:
        """The version that each alias of a registered model points to, in one question."""
        found = await self._ask(f"{_API}/registered-models/get", _RegisteredModelAnswer, name=model)
        if found is None:
            raise ModelNotFoundError(model, self._label)
        return {alias.alias: alias.version for alias in found.registered_model.aliases}

    async def open(self, model: str, version: str) -> Source:
        """The files of a registered version, wherever the registry keeps them."""
        found = await self._ask(f"{_API}/model-versions/get", _VersionAnswer, name=model, version=version)
        if found is None:
            await self.aliases(model)  # raises when the model itself is what is missing
            raise VersionNotFoundError(model, version, self._label)
        if found.model_version.status != _READY:
            raise VersionNotReadyError(model, version, found.model_version.status, self._label)
        title = f"Version {version} of model {model!r} in {self._label}"
        return self._source(await self._location(model, version, title), title)

    async def _location(self, model: str, version: str, title: str) -> str:
        """The address of the version's artifacts; what MLflow states in terms of runs and models is followed."""
        address = await self._ask(
            f"{_API}/model-versions/get-download-uri", _DownloadAnswer, name=model, version=version
        )
        uri = address.artifact_uri if address else ""
        for _ in range(_MOST_HOPS):
            if uri.startswith("models:/m-"):
                uri = await self._logged_model(uri, title)
            elif uri.startswith("runs:/"):
                uri = await self._run(uri, title)
            else:
                return uri
        raise NotServableError(title, f"its artifacts lead in a circle ({uri})", "Log the model again.")

    async def _logged_model(self, uri: str, title: str) -> str:
        identifier = uri.removeprefix("models:/")
        found = await self._ask(f"{_API}/logged-models/{quoted(identifier)}", _LoggedModelAnswer)
        if found is None:
            raise NotServableError(title, f"the logged model {identifier} is gone", "Register it again.")
        return found.model.info.artifact_uri

    async def _run(self, uri: str, title: str) -> str:
        identifier, _, path = uri.removeprefix("runs:/").partition("/")
        found = await self._ask(f"{_API}/runs/get", _RunAnswer, run_id=identifier)
        if found is None:
            raise NotServableError(title, f"the run {identifier} that logged it is gone", "Register it again.")
        return f"{found.run.info.artifact_uri.rstrip('/')}/{path}"

    def _source(self, uri: str, title: str) -> Source:
        try:
            address = urlsplit(uri)
        except ValueError as error:
            raise NotServableError(title, f"its address {uri!r} is none ({error})", "Register it again.") from error
        if address.scheme == "s3":
            return BucketFiles(uri, self._buckets)
        ours = not address.netloc or address.netloc == self._host
        if address.scheme == "mlflow-artifacts" and ours:
            return ProxiedArtifacts(self, root=address.path.strip("/"), name=title)
        if address.scheme in {"http", "https"} and ours and address.path.startswith(_ARTIFACTS):
            return ProxiedArtifacts(self, root=address.path.removeprefix(_ARTIFACTS).strip("/"), name=title)
        raise NotServableError(
            title,
            f"its files lie at {uri or 'no address'}, which the operator does not read",
            "Run the tracking server with --serve-artifacts, or keep artifacts in S3.",
        )

    async def list_artifacts(self, root: str) -> tuple[_ListedArtifact, ...]:
        """One folder of artifacts that the server proxies."""
        found = await self._ask(_ARTIFACTS, _ListingAnswer, path=root)
        return found.files if found else ()

    async def read_artifact(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one artifact that the server proxies."""
        address = f"{_ARTIFACTS}/{quoted(path)}"
        try:
            async with http_response(self._client, address, name=path) as response:
                async for piece in response.aiter_bytes(CHUNK_BYTES):
                    yield piece
        except SourceUnavailableError as error:
            raise RegistryUnavailableError(self._label, str(error)) from error

    async def _ask(self, path: str, answer: type[_A], /, **query: str) -> _A | None:
        """Ask, and read the answer; None where MLflow says that there is no such thing."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self._client.get(path, params=query)
        except (httpx.HTTPError, TimeoutError) as error:
            raise RegistryUnavailableError(self._label, f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if response.status_code == 200:
            return self._read(response, answer)
        said = _error_of(response)
        if response.status_code == 404 and said.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise RegistryUnavailableError(self._label, f"HTTP {response.status_code}: {said.message}".rstrip(": "))

    def _read(self, response: httpx.Response, answer: type[_A]) -> _A:
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise RegistryUnavailableError(
                self._label, f"an answer that is not MLflow's: {error.errors()[0]['msg']}"
            ) from error


class ProxiedArtifacts:
    """A folder of artifacts that the tracking server hands out itself."""

    def __init__(self, registry: Registry, *, root: str, name: str) -> None:
        self.name = name
        self._registry = registry
        self._root = root

    async def listing(self) -> tuple[ListedFile, ...]:
        """All files below the folder."""
        found: list[ListedFile] = []
        folders = [""]
        while folders and len(found) + len(folders) <= _MOST_FILES:
            folder = folders.pop()
            for item in await self._registry.list_artifacts(_joined(self._root, folder)):
                path = _joined(folder, item.path)
                if item.is_dir:
                    folders.append(path)
                else:
                    found.append(ListedFile(path=path, size=item.file_size))
        files = tuple(sorted(found, key=lambda file: file.path))
        refuse_unreadable_listing(files, name=self.name, most=_MOST_FILES - len(folders))
        return files

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one artifact."""
        async for piece in self._registry.read_artifact(_joined(self._root, path)):
            yield piece


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _error_of(response: httpx.Response) -> _ErrorAnswer:
    try:
        return _ErrorAnswer.model_validate_json(response.content)
    except ValidationError:
        return _ErrorAnswer(message=response.text[:200])
