"""What does the server tell about itself: health, metadata, statistics, documentation?"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException as StarletteHTTPException

from loadline_serving import statistics
from loadline_serving.errors import RequestError
from loadline_serving.http import openapi
from loadline_serving.http.body import read_body
from loadline_serving.inference import Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder
from loadline_serving.protocol import metadata, repository

_MAX_INDEX_BYTES = 64 << 10
_NOT_POST = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
_ONE_MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{model_version}")


def make_app(slot: Slot, lifecycle: Lifecycle, recorder: Recorder) -> FastAPI:
    """The FastAPI application behind what runs the model."""
    # Its documentation page brings its scripts along: a cluster need not reach the internet.
    app = FastAPIOffline(redoc_url=None, title=f"Loadline: {slot.identity.name}", version=slot.identity.version)
    app.openapi = _description(slot)  # type: ignore[method-assign]
    app.add_exception_handler(RequestError, _tell_request_error)
    app.add_exception_handler(StarletteHTTPException, _tell_http_error)
    app.add_exception_handler(RequestValidationError, _tell_http_error)
    _add_health(app, slot, lifecycle)
    _add_extensions(app, slot, lifecycle, recorder)
    _add_metadata(app, slot)
    _add_v1(app, slot, lifecycle)
    _add_what_runs_the_model(app, slot)
    return app


def _description(slot: Slot) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document; the model's names and shapes are in it once it is loaded."""
    made: dict[bool, dict[str, Any]] = {}

    def describe() -> dict[str, Any]:
        loaded = slot.filled
        if loaded not in made:
            made[loaded] = openapi.document(slot.identity, slot.get().signature if loaded else None)
        return made[loaded]

    return describe


def _add_health(app: FastAPI, slot: Slot, lifecycle: Lifecycle) -> None:
    def readiness(said: dict[str, Any]) -> JSONResponse:
        return JSONResponse(
            said | {"ready": lifecycle.wants_requests}, status_code=200 if lifecycle.wants_requests else 503
        )

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process runs."""
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        """Whether requests should be sent here."""
        return readiness({})

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{model_version}/ready")
    async def model_ready(model: str, model_version: str | None = None) -> JSONResponse:
        """Whether the model answers."""
        slot.identity.expect(model, model_version)
        return readiness({"name": model})


def _add_metadata(app: FastAPI, slot: Slot) -> None:
    @app.get("/v2")
    async def server() -> dict[str, Any]:
        """What this server is."""
        return metadata.server()

    @app.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """The one model that is here."""
        return {"models": [slot.identity.name]}

    @app.get(_ONE_MODEL[0])
    @app.get(_ONE_MODEL[1])
    async def model_metadata(model: str, model_version: str | None = None) -> dict[str, Any]:
        """What the model takes and gives."""
        slot.identity.expect(model, model_version)
        return metadata.model(slot.identity, slot.get().signature)


def _add_extensions(app: FastAPI, slot: Slot, lifecycle: Lifecycle, recorder: Recorder) -> None:
    async def stats(request: Request) -> JSONResponse:
        """How often the model was asked, and where the time went."""
        wanted = request.path_params
        if "model" in wanted:
            slot.identity.expect(wanted["model"], wanted.get("model_version"))
        return JSONResponse(statistics.model_stats(slot.identity, statistics.taken_from(recorder)))

    # Routes are tried in their order: /v2/models/stats stands before /v2/models/{model}.
    for path in ("/v2/models/stats", *(f"{path}/stats" for path in _ONE_MODEL)):
        app.add_api_route(path, stats, methods=["GET"])

    @app.post("/v2/repository/index")
    async def index(request: Request) -> JSONResponse:
        """Which models are here, and whether they answer."""
        body = await read_body(request.scope["headers"], request.receive, _MAX_INDEX_BYTES)
        ready = lifecycle.wants_requests
        return JSONResponse(repository.index(body or b"", slot.identity, lifecycle.state.value, ready=ready))


def _add_v1(app: FastAPI, slot: Slot, lifecycle: Lifecycle) -> None:
    @app.get("/v1/models")
    async def v1_models() -> dict[str, list[str]]:
        """The one model that is here."""
        return {"models": [slot.identity.name]}

    # The path of predict would else be read as a model of that name.
    app.add_api_route("/v1/models/{model}:predict", _only_post, methods=_NOT_POST)

    @app.get("/v1/models/{model}")
    async def v1_model(model: str) -> JSONResponse:
        """Whether the model answers."""
        slot.identity.expect(model)
        ready = lifecycle.wants_requests
        return JSONResponse({"name": model, "ready": ready}, status_code=200 if ready else 503)


def _add_what_runs_the_model(app: FastAPI, slot: Slot) -> None:
    """What runs the model is handled before routing: here arrive other models' names, and other methods."""

    @app.post("/v2/models/{model}/infer")
    @app.post("/v2/models/{model}/versions/{model_version}/infer")
    @app.post("/v1/models/{model}:predict")
    async def run(model: str, model_version: str | None = None) -> None:
        slot.identity.expect(model, model_version)
        raise StarletteHTTPException(404)

    app.add_api_route("/predict", _only_post, methods=_NOT_POST)


async def _only_post() -> None:
    raise StarletteHTTPException(405, headers={"Allow": "POST"})


async def _tell_request_error(_: Request, error: Exception) -> JSONResponse:
    status = error.http_status if isinstance(error, RequestError) else 500
    return JSONResponse({"error": str(error)}, status_code=status)


async def _tell_http_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, StarletteHTTPException):
        sentence = f"{error.detail}: {request.method} {request.url.path}"
        return JSONResponse({"error": sentence}, status_code=error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, status_code=400)
