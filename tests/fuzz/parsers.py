#!/usr/bin/env python
"""Is there any message that a parser neither reads nor refuses as its sender's fault?

libFuzzer looks for one, led by the branches that a message reaches: `make fuzz SECONDS=60`. An input's first byte
chooses the parser. Where there is one, it ends with a traceback and the message in a file.
"""

import json
import sys
from collections.abc import Callable
from random import Random

import atheris
import orjson

with atheris.instrument_imports(include=["loadline_serving.protocol", "loadline_serving.signature"]):
    from loadline_serving.protocol import messages, openinference, tables, v1
    from loadline_serving.protocol import open_inference_pb2 as pb

from google.protobuf.message import DecodeError
from loadline_serving.errors import RequestError
from support.mutations import damage
from support.signatures import IDENTITY, signature

MODEL = signature(
    {"a": ("FP32", (-1, 2)), "s": ("BYTES", (-1,)), "b": ("BOOL", ()), "h": ("FP16", (-1, 1))}, {"y": ("FP32", (-1, 2))}
)
TABLE = signature(
    {"age": ("INT64", (-1, 1)), "name": ("BYTES", (-1,)), "risk": ("FP16", (-1,))}, {"y": ("FP32", (-1,))}
)
MATRIX = signature({"x": ("FP32", (-1, 2))}, {"y": ("FP32", (-1,))})


def in_json(data: bytes) -> None:
    openinference.decode(data, None, MODEL)


def in_bytes(data: bytes) -> None:
    """The first two bytes say where the JSON part ends, as the header does; they may lie."""
    length = b"%d" % int.from_bytes(data[:2], "big")
    openinference.decode(data[2:], openinference.json_length(length, len(data[2:])), MODEL)


def header(data: bytes) -> None:
    openinference.json_length(data, 100)


def over_grpc(data: bytes) -> None:
    message = pb.ModelInferRequest()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return
    messages.decode(message, MODEL)


PARSERS: tuple[Callable[[bytes], object], ...] = (
    in_json,
    in_bytes,
    header,
    over_grpc,
    tables.Reader(TABLE, IDENTITY).read,
    tables.Reader(MATRIX, IDENTITY).read,
    v1.Reader(TABLE, IDENTITY).read,
    v1.Reader(MATRIX, IDENTITY).read,
)


def try_one(data: bytes) -> None:
    """One input; whatever is raised but a fault of the sender's is a find."""
    if not data:
        return
    try:
        PARSERS[data[0] % len(PARSERS)](data[1:])
    except RequestError as error:
        if not 400 <= error.http_status < 500:
            raise


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Damage the value where the input is JSON, every other time; else let libFuzzer change bytes."""
    try:
        message = orjson.loads(data[1:])
    except orjson.JSONDecodeError:
        message = None
    if message is None or seed % 2:
        return bytes(atheris.Mutate(data, max_size))
    damaged = data[:1] + json.dumps(damage(message, Random(seed))).encode()  # noqa: S311  # libFuzzer's seed repeats it
    return damaged if len(damaged) <= max_size else data


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one, custom_mutator=mutate)
    atheris.Fuzz()
