"""How many requests did a server answer, and how late?

The load is wrk for HTTP and h2load for gRPC: both are C, send the next request of a connection when the last one is
answered, and so measure what a server can do, not what it does at a given rate.
"""

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loadline_bench.bodies import Body

SCRIPT = Path(__file__).with_name("post.lua")
TIMEOUT_SECONDS = 30
_FRAME_BYTES = 5
"""gRPC's prefix of a message: one byte says whether it is compressed, four how long it is."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a load generator saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int


class LoadFailedError(RuntimeError):
    """The load generator did not say what it saw."""

    def __init__(self, program: str, said: str) -> None:
        super().__init__(f"{program} gave no figures; it said: {said.strip()[-500:]}")


def over_http(port: int, body: Body, *, connections: int, seconds: int, core: int) -> Load:
    """Send one body again and again."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "body"
        file.write_bytes(body.data)
        headers = [f"{name}: {value}" for name, value in body.headers.items()]
        words = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        words += [f"--timeout={TIMEOUT_SECONDS}s", f"--script={SCRIPT}", f"http://127.0.0.1:{port}{body.path}"]
        return of_wrk(_run([*words, "--", str(file), *headers], seconds))


def over_grpc(port: int, body: Body, *, connections: int, seconds: int, core: int, answer_bytes: int) -> Load:
    """Send one message again and again, one stream at a time on each connection."""
    with TemporaryDirectory() as folder:
        file, log = Path(folder) / "body", Path(folder) / "log"
        file.write_bytes(struct.pack(">BI", 0, len(body.data)) + body.data)
        words = ["taskset", "-c", str(core), "h2load", "-t1", f"-c{connections}", "-m1", f"--duration={seconds}"]
        words += [f"--data={file}", f"--log-file={log}", "--header=content-type: application/grpc"]
        words += ["--header=te: trailers", f"http://127.0.0.1:{port}{body.path}"]
        said = _run(words, seconds)
        return of_h2load(said, log.read_text() if log.exists() else "", answer_bytes + _FRAME_BYTES)


def of_wrk(said: str) -> Load:
    """What post.lua wrote at the end."""
    figures = dict(re.findall(r"^loadline (\w+) (\d+)$", said, re.MULTILINE))
    if not figures:
        raise LoadFailedError("wrk", said)
    return Load(
        requests=int(figures["requests"]),
        seconds=float(figures["microseconds"]) / 1e6,
        p50_ms=float(figures["p50"]) / 1000,
        p99_ms=float(figures["p99"]) / 1000,
        failed=int(figures["failed"]),
    )


def of_h2load(said: str, log: str, frame_bytes: int) -> Load:
    """What h2load wrote: a summary, and one line (start, status, microseconds) for each request.

    gRPC says in a trailer whether a call went well, and h2load does not read it; but a call that fails has no message.
    So the bytes of data tell how many calls were answered.
    """
    took = re.search(r"^finished in ([\d.]+)(m?s)", said, re.MULTILINE)
    data = re.search(r"^traffic: .*\((\d+)\) data$", said, re.MULTILINE)
    times = sorted(int(line.split("\t")[2]) for line in log.splitlines() if line.split("\t")[1] == "200")
    if took is None or data is None or not times:
        raise LoadFailedError("h2load", said)
    answered = int(data[1]) // frame_bytes
    return Load(
        requests=len(times),
        seconds=float(took[1]) / (1000 if took[2] == "ms" else 1),
        p50_ms=percentile(times, 50) / 1000,
        p99_ms=percentile(times, 99) / 1000,
        failed=len(log.splitlines()) - len(times) + max(0, len(times) - answered),
    )


def percentile(ordered: list[int], share: int) -> int:
    """The least value that this share of all, in percent, does not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def _run(words: list[str], seconds: int) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds + 2 * TIMEOUT_SECONDS)
    return done.stdout + done.stderr
