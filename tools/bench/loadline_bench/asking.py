"""Does a server answer one request, and is the answer right?"""

import http.client
import time
from dataclasses import dataclass

import grpc
import numpy as np

from loadline_bench.bodies import Body, UnreadableAnswerError, body, values
from loadline_bench.models import Model, Rows, expected
from loadline_bench.peers import Encoding, Peer
from loadline_bench.places import Places
from loadline_bench.server import Server

START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How far an answer may be from ONNX Runtime's own: float32 that went through decimal text, in batches of any size."""


class WrongAnswerError(RuntimeError):
    """A server answered, but not what the model says."""


class NoAnswerError(RuntimeError):
    """A server did not answer, or with an error."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request whose right answer is known."""

    body: Body
    encoding: Encoding
    right: Rows


def question(peer: Peer, encoding: Encoding, model: Model, places: Places, seed: int) -> Question:
    """A request for a peer, and what ONNX Runtime answers."""
    rows = model.rows(seed)
    return Question(
        body=body(encoding, peer.dialect, rows), encoding=encoding, right=expected(places.models.file(model), rows)
    )


def ask(server: Server, asked: Question) -> int:
    """Ask once; the bytes of the answer, if it is right."""
    headers: dict[str, str] = {}
    if asked.encoding is Encoding.GRPC:
        data = _call(server.grpc_port, asked.body)
    else:
        headers, data = _post(server.http_port, asked.body)
    try:
        answer = values(asked.encoding, headers, data)
    except UnreadableAnswerError as error:
        raise WrongAnswerError(str(error)) from error
    if answer.shape != asked.right.shape:
        raise WrongAnswerError(f"shape {answer.shape}, not {asked.right.shape}")
    if not np.allclose(answer, asked.right, rtol=RELATIVE, atol=ABSOLUTE):
        raise WrongAnswerError(f"off by {float(np.abs(answer - asked.right).max()):g}")
    return len(data)


def wait_for_answer(server: Server, asked: Question) -> float:
    """Ask until the first answer; the seconds since the server was started."""
    reason = "it was not asked"
    while time.monotonic() < server.started + START_SECONDS and not server.ended:
        try:
            ask(server, asked)
        except NoAnswerError as error:
            reason = str(error)
            time.sleep(0.02)
        else:
            return time.monotonic() - server.started
    said = server.log.read_text(errors="replace").strip()[-400:]
    raise NoAnswerError(f"{'it ended' if server.ended else 'no answer in time'}: {reason}; it said: {said}")


def _post(port: int, sent: Body) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", sent.path, sent.data, dict(sent.headers))
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise NoAnswerError(f"status {answer.status}: {data[:200]!r}")
    return dict(answer.getheaders()), data


def _call(port: int, sent: Body) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = channel.unary_unary(sent.path, bytes, bytes)(sent.data, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise NoAnswerError(f"{error.code()}: {error.details()}") from error
    return bytes(answer)
