"""Which models does the repository hold, in the words of V2's extension model_repository?"""

from typing import Any

import orjson

from loadline_serving.errors import BadRequestError
from loadline_serving.inference import Identity

READY, UNAVAILABLE = "READY", "UNAVAILABLE"


def index(body: bytes, identity: Identity, state: str, *, ready: bool) -> list[dict[str, str]]:
    """The one model, unless only ready ones are asked for and it is not. `state`: the process's, as the reason."""
    if _only_ready(body) and not ready:
        return []
    return [
        {
            "name": identity.name,
            "version": identity.version,
            "state": READY if ready else UNAVAILABLE,
            "reason": "" if ready else state,
        }
    ]


def _only_ready(body: bytes) -> bool:
    if not body:
        return False
    try:
        message: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    only_ready = message.get("ready", False) if isinstance(message, dict) else None
    if not isinstance(only_ready, bool):
        raise BadRequestError('the body is neither empty nor an object like {"ready": true}')
    return only_ready
