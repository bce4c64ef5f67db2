"""How many requests failed at a constant rate, when, and how: POST infer by vegeta, over HTTP.

The load is open: a request is sent when its time has come, whether or not earlier ones were answered, so
a stall costs as many requests as it lasts. Every answer but a 200, and every refused, reset or cut
connection, is a failure; nothing is sent again.
"""

import csv
import io
import json
import re
import shlex
import subprocess
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from support import names, nodes
from support.programs import program

NANOSECONDS = 1e9
OK = 200
STEADY: Final = 0.97
"""The least share of its rate that a stream sends which is called steady."""
THERE: Final = "/var/tmp/load"
"""Where the load's files lie on the node."""
SAID_BYTES: Final = 160
"""How much of a failed answer's body is told."""
# What differs between failures of one kind: the request's own address, and the ports of its connection.
LATE = "Client.Timeout"
REQUEST = re.compile(r'^Post "[^"]*": ')
LOCAL = re.compile(r"\d+\.\d+\.\d+\.\d+:\d+->")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for one request."""

    sent_at: float
    """Seconds since 1970."""
    latency: float
    code: int
    error: str
    body: bytes = field(repr=False)

    @property
    def failed(self) -> bool:
        """Whether a client would call this a failure."""
        return self.code != OK or bool(self.error)

    @property
    def kind(self) -> str:
        """What a failure is counted under: the client's error, and whatever the answer itself says."""
        said = "no answer in time" if LATE in self.error else LOCAL.sub("", REQUEST.sub("", self.error))
        body = self.body[:SAID_BYTES].decode(errors="replace")
        return " ".join(filter(None, [str(self.code or ""), said, body]))


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a load cost over a span of time."""

    sent: int
    failures: Mapping[str, int]
    first_failure: float | None
    last_failure: float | None
    p50: float
    p99: float
    slowest: float

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Self:
        """Count answers, in whichever order they came."""
        seen = list(answers)
        failed = [answer for answer in seen if answer.failed]
        latencies = sorted(answer.latency for answer in seen)
        times = [answer.sent_at for answer in failed]
        return cls(
            sent=len(seen),
            failures=dict(Counter(answer.kind for answer in failed).most_common()),
            first_failure=min(times, default=None),
            last_failure=max(times, default=None),
            p50=_quantile(latencies, 0.5),
            p99=_quantile(latencies, 0.99),
            slowest=latencies[-1] if latencies else 0.0,
        )

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(self.failures.values())

    @property
    def seconds_failing(self) -> float:
        """From the first failed request to the last."""
        return (
            0.0 if self.first_failure is None or self.last_failure is None else self.last_failure - self.first_failure
        )

    def as_json(self) -> dict[str, Any]:
        """The raw counts, for a result file."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "failures": dict(self.failures),
            "seconds_failing": round(self.seconds_failing, 3),
            "p50_ms": round(self.p50 * 1000, 2),
            "p99_ms": round(self.p99 * 1000, 2),
            "slowest_ms": round(self.slowest * 1000, 1),
        }

    @property
    def told(self) -> str:
        """Counts as a person reads them: failed of sent, then how they failed."""
        kinds = "; ".join(f"{count} x {kind[:200]}" for kind, count in self.failures.items())
        took = f" over {self.seconds_failing:.2f} s" if self.failed else ""
        return f"{self.failed}/{self.sent}{took}{': ' if kinds else ''}{kinds}"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One constant-rate stream of requests to one model."""

    name: str
    url: str
    body: bytes
    per_second: int = 100
    keepalive: bool = True
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    timeout: float = 15
    """How long a client waits: long for a model of milliseconds."""

    def target(self, gateway: str) -> str:
        """The request as vegeta reads it, to the same path at this address of the gateway."""
        headers = "".join(f"{key}: {value}\n" for key, value in self.headers.items())
        return f"POST {gateway}{urlsplit(self.url).path}\n{headers}@{_there(self.name, 'body')}\n"


class LoadNeverRanError(AssertionError):
    """The load generator ended by itself; the message holds what it said."""


class Load:
    """Streams that run together until they are told to stop.

    They run in the container of the control plane, which serves no model: there they share processors with the
    cluster's nodes as a node does, instead of coming before all of them, and meet the gateway's node port without
    Docker's own proxy, which gives up for good when a stall costs it its file descriptors.
    """

    def __init__(self, streams: Sequence[Stream], folder: Path, *, node: str) -> None:
        self._streams = streams
        self._folder = folder
        self._node = node
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._began = self._ended = 0.0

    def __enter__(self) -> Self:
        if nodes.on_node(self._node, "sh", "-c", f"mkdir -p {THERE}; ls {THERE}").find("vegeta") < 0:
            nodes.copy_to(self._node, Path(program("vegeta")).resolve(), f"{THERE}/vegeta")
        gateway = f"http://{nodes.address(self._node)}:{names.GATEWAY_NODE_PORT}"
        for stream in self._streams:
            self._running[stream.name] = self._start(stream, gateway)
        self._began = time.time()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, stream: Stream, gateway: str) -> subprocess.Popen[bytes]:
        for what, content in (("body", stream.body), ("target", stream.target(gateway).encode())):
            here = self._folder / f"{stream.name}.{what}"
            here.write_bytes(content)
            nodes.copy_to(self._node, here, _there(stream.name, what))
        attack = [
            f"{THERE}/vegeta",
            "attack",
            f"-targets={_there(stream.name, 'target')}",
            f"-rate={stream.per_second}/1s",
            "-duration=0",
            f"-timeout={stream.timeout}s",
            f"-keepalive={str(stream.keepalive).lower()}",
            f"-output={_there(stream.name, 'results')}",
        ]
        script = f"echo $$ > {_there(stream.name, 'pid')}; exec {shlex.join(attack)}"
        with (self._folder / f"{stream.name}.said").open("wb") as said:
            return subprocess.Popen(["docker", "exec", self._node, "sh", "-c", script], stderr=said)

    def stop(self) -> None:
        """End every stream; what is in flight is waited for."""
        running, self._running, self._ended = self._running, {}, time.time()
        early = [name for name, process in running.items() if process.poll() is not None]
        for name in running:
            nodes.on_node(self._node, "sh", "-c", f"kill -INT $(cat {_there(name, 'pid')})")
        for name, process in running.items():
            process.wait(timeout=60)
            nodes.copy_from(self._node, _there(name, "results"), self._folder / f"{name}.results")
        said = {name: (self._folder / f"{name}.said").read_text() for name in running}
        if early or any(said.values()):
            raise LoadNeverRanError(f"vegeta ended by itself: {early}; said: {said}")

    def answers(self, name: str) -> list[Answer]:
        """What a stream that was stopped got back."""
        done = subprocess.run(
            [program("vegeta"), "encode", "-to", "csv", str(self._folder / f"{name}.results")],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return [_answer(row) for row in csv.reader(io.StringIO(done.stdout))]

    def share_sent(self, stream: Stream, answers: Iterable[Answer]) -> float:
        """The share of its rate that a stream sent, from when all were started until they were told to stop."""
        sent = len(between(answers, self._began, self._ended))
        return sent / (stream.per_second * (self._ended - self._began))


def _there(name: str, what: str) -> str:
    return f"{THERE}/{name}.{what}"


def _answer(row: Sequence[str]) -> Answer:
    sent_at, code, latency, _, _, error, body, *_ = row
    return Answer(
        sent_at=int(sent_at) / NANOSECONDS,
        latency=int(latency) / NANOSECONDS,
        code=int(code),
        error=error,
        body=b64decode(body),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def between(answers: Iterable[Answer], start: float, end: float) -> list[Answer]:
    """The answers to what was sent in a span of time."""
    return [answer for answer in answers if start <= answer.sent_at < end]


def first_output(answer: Answer) -> float:
    """The first number of a V2 answer: it tells which version of a test model gave it."""
    data = json.loads(answer.body)["outputs"][0]["data"]
    return float(data[0])
