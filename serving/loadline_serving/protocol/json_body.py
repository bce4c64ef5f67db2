"""What is in a body of JSON, before any protocol looks at it?"""

from typing import Any

import orjson

from loadline_serving.errors import BadRequestError


def json_object(data: bytes | memoryview) -> dict[str, Any]:
    """The object in the bytes; raises BadRequestError."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadRequestError("the body is JSON, but not an object")
    return message


def holds_booleans(body: bytes) -> bool:
    """Whether true or false stands somewhere: two searches are cheaper than a look at the type of every number."""
    return b"true" in body or b"false" in body
