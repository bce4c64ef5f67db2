"""What does the server tell about itself: health, metadata, documentation?"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from loadline_serving.errors import RequestError
from loadline_serving.inference import Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.protocol import metadata


def make_app(slot: Slot, lifecycle: Lifecycle) -> FastAPI:
    """The FastAPI application behind the infer path."""
    app = FastAPI(
        title=f"Loadline: {slot.identity.name}",
        version=slot.identity.version,
        summary="One model version, over the Open Inference Protocol V2",
    )
    app.add_exception_handler(RequestError, _tell_request_error)
    app.add_exception_handler(StarletteHTTPException, _tell_http_error)
    app.add_exception_handler(RequestValidationError, _tell_http_error)
    _add_health(app, slot, lifecycle)
    _add_metadata(app, slot)
    return app


def _add_health(app: FastAPI, slot: Slot, lifecycle: Lifecycle) -> None:
    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process runs."""
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        """Whether requests should be sent here."""
        return JSONResponse({"ready": lifecycle.wants_requests}, status_code=200 if lifecycle.wants_requests else 503)

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{model_version}/ready")
    async def model_ready(model: str, model_version: str | None = None) -> JSONResponse:
        """Whether the model answers."""
        slot.identity.expect(model, model_version)
        return JSONResponse(
            {"name": model, "ready": lifecycle.wants_requests}, status_code=200 if lifecycle.wants_requests else 503
        )


def _add_metadata(app: FastAPI, slot: Slot) -> None:
    @app.get("/v2")
    async def server() -> dict[str, Any]:
        """What this server is."""
        return metadata.server()

    @app.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """The one model that is here."""
        return {"models": [slot.identity.name]}

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{model_version}")
    async def model_metadata(model: str, model_version: str | None = None) -> dict[str, Any]:
        """What the model takes and gives."""
        slot.identity.expect(model, model_version)
        return metadata.model(slot.identity, slot.get().signature)

    @app.post("/v2/models/{model}/infer")
    @app.post("/v2/models/{model}/versions/{model_version}/infer")
    async def infer(model: str, model_version: str | None = None) -> None:
        """Run the model. (The real path is handled before routing; here arrive other models' names.)"""
        slot.identity.expect(model, model_version)


async def _tell_request_error(_: Request, error: Exception) -> JSONResponse:
    status = error.http_status if isinstance(error, RequestError) else 500
    return JSONResponse({"error": str(error)}, status_code=status)


async def _tell_http_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, StarletteHTTPException):
        sentence = f"{error.detail}: {request.method} {request.url.path}"
        return JSONResponse({"error": sentence}, status_code=error.status_code, headers=error.headers)
    return JSONResponse({"error": str(error)}, status_code=400)
