"""What does FastAPI cost with nothing around it? V2 JSON, an async handler, a pydantic body, an orjson answer."""

from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI, Response
from model import run, session
from pydantic import BaseModel

loaded = session()
app = FastAPI()


class Tensor(BaseModel):
    """One input."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[float]


class InferRequest(BaseModel):
    """The body."""

    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[Tensor]
    outputs: list[Any] | None = None


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: InferRequest) -> Response:
    """Answer one request."""
    tensor = request.inputs[0]
    answer = run(loaded, np.array(tensor.data, np.float32).reshape(tensor.shape))
    output = {"name": "output", "datatype": "FP32", "shape": answer.shape, "data": answer.ravel()}
    body = orjson.dumps({"model_name": name, "outputs": [output]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")
