"""Does a connection stay in order, whatever its caller does?"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loadline_serving.admission import Bounds
from loadline_serving.execution import Rules
from loadline_serving.http.connection import MAX_HEAD_BYTES, MOST_IN_LINE
from loadline_serving.pace import Pace
from support.scripted_model import ScriptedModel
from support.serving_world import World, serving_world
from support.waiting_for import until

LIMIT = 10_000
INFER = "/v2/models/m/infer"
TOGETHER = Pace(inline=True, rows=64)


class Answer(NamedTuple):
    """One answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Caller:
    """Writes bytes, and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def answer(self) -> Answer:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status_line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(status_line.split()[1]), headers, json.loads(body) if body else None)

    async def closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 10) == b""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving_world(tmp_path, max_bytes=LIMIT, receive_seconds=1.0) as found:
        found.put(ScriptedModel(), TOGETHER)
        yield found


@pytest.fixture
async def caller(world: World) -> AsyncIterator[Caller]:
    async with calling(world) as found:
        yield found


@asynccontextmanager
async def calling(world: World) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.http.port)
    yield Caller(reader, writer)
    writer.close()


def body(value: float, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, 1]}
    return json.dumps({"inputs": [tensor]} | more).encode()


def infer(content: bytes, *headers: str, path: str = INFER, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: m", f"content-length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: m\r\n\r\n".encode()


def first_number(answer: Answer) -> float:
    value: float = answer.body["outputs"][0]["data"][0]
    return value


async def test_requests_sent_without_waiting_run_together_and_are_answered_in_their_order(
    world: World, caller: Caller
) -> None:
    caller.send(*(infer(body(n)) for n in range(5)))
    assert [first_number(await caller.answer()) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert isinstance(world.service.slot.get(), ScriptedModel)
    assert world.service.slot.get().runs == [5]  # type: ignore[attr-defined]


async def test_a_refused_request_among_others_is_answered_in_its_place(caller: Caller) -> None:
    caller.send(infer(body(1)), infer(b"{"), infer(body(2)))
    assert [(await caller.answer()).status for _ in range(3)] == [200, 400, 200]


async def test_infer_requests_and_others_on_one_connection_are_answered_in_their_order(caller: Caller) -> None:
    live = get("/v2/health/live")
    caller.send(infer(body(1)), live, infer(body(2)), live, live, infer(body(3)))
    answers = [await caller.answer() for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 6
    assert ["outputs" in answer.body for answer in answers] == [True, False, True, False, False, True]
    assert [first_number(answer) for answer in answers if "outputs" in answer.body] == [2, 4, 6]


async def test_more_requests_than_the_line_holds_are_all_answered(caller: Caller) -> None:
    count = 5 * MOST_IN_LINE
    caller.send(*(infer(body(n)) for n in range(count)))
    assert [first_number(await caller.answer()) for _ in range(count)] == [2 * n for n in range(count)]


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_request_in_pieces_is_put_together(caller: Caller, size: int) -> None:
    message = infer(body(21)) + infer(body(22))
    for start in range(0, len(message), size):
        caller.send(message[start : start + size])
        await asyncio.sleep(0)
    assert [first_number(await caller.answer()) for _ in range(2)] == [42, 44]


@pytest.mark.parametrize(
    "path",
    [INFER + "?a=b", "/v2/models/%6d/infer", "/v2/models/m/versions/3/infer"],
)
async def test_the_same_path_written_otherwise_is_answered_the_same(caller: Caller, path: str) -> None:
    caller.send(infer(body(4), path=path))
    assert first_number(await caller.answer()) == 8


async def test_a_body_in_chunks_is_read(caller: Caller) -> None:
    content = body(3)
    caller.send(f"POST {INFER} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for part in (content[:10], content[10:]):
        caller.send(b"%x\r\n%b\r\n" % (len(part), part))
    caller.send(b"0\r\n\r\n")
    assert first_number(await caller.answer()) == 6


async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_long(caller: Caller) -> None:
    caller.send(f"POST {INFER} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    caller.send(b"%x\r\n%b\r\n" % (LIMIT + 1, b" " * (LIMIT + 1)))
    assert (await caller.answer()).status == 413
    caller.send(b"5\r\nhello\r\n0\r\n\r\n", infer(body(1)))
    assert first_number(await caller.answer()) == 2


async def test_a_caller_that_asks_first_is_told_to_go_on_or_not_to(caller: Caller) -> None:
    content = body(5)
    head, _, _ = infer(content, "expect: 100-continue").partition(b"\r\n\r\n")
    caller.send(head, b"\r\n\r\n")
    assert (await caller.answer()).status == 100
    caller.send(content)
    assert first_number(await caller.answer()) == 10
    caller.send(f"POST {INFER} HTTP/1.1\r\nhost: m\r\nexpect: 100-continue\r\ncontent-length: 999999\r\n\r\n".encode())
    refused = await caller.answer()
    assert refused.status == 413
    assert refused.headers["connection"] == "close"
    assert await caller.closed()


@pytest.mark.parametrize(
    ("header", "version", "closes"),
    [("connection: close", "1.1", True), ("x: y", "1.0", True), ("connection: keep-alive", "1.1", False)],
)
async def test_the_connection_stays_open_if_the_caller_wants_it(
    caller: Caller, header: str, version: str, closes: bool
) -> None:
    caller.send(infer(body(1), header, version=version))
    answer = await caller.answer()
    assert (answer.headers.get("connection") == "close") == closes
    if closes:
        assert await caller.closed()
    else:
        caller.send(infer(body(2)))
        assert first_number(await caller.answer()) == 4


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST " + INFER.encode() + b" HTTP/1.1\r\ncontent-length: -5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * (2 * MAX_HEAD_BYTES), 431),
        (b"GET /" + b"a" * (2 * MAX_HEAD_BYTES), 431),
    ],
    ids=["no HTTP", "negative length", "endless header", "endless path"],
)
async def test_what_is_no_request_is_answered_in_the_form_of_all_errors_and_sent_away(
    caller: Caller, sent: bytes, status: int
) -> None:
    caller.send(sent)
    answer = await caller.answer()
    assert answer.status == status
    assert list(answer.body) == ["error"]
    assert await caller.closed()


async def test_a_body_that_turns_into_nonsense_is_refused_and_answers_before_it_still_come(caller: Caller) -> None:
    chunked = f"POST {INFER} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    caller.send(infer(body(1)), chunked, b"zz\r\n")
    assert [(await caller.answer()).status for _ in range(2)] == [200, 400]
    assert await caller.closed()


async def test_nonsense_after_a_body_that_was_refused_gets_no_second_answer(caller: Caller) -> None:
    chunked = f"POST {INFER} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    caller.send(chunked, b"%x\r\n%b\r\n" % (LIMIT + 1, b" " * (LIMIT + 1)), b"zz\r\n")
    assert (await caller.answer()).status == 413
    assert await caller.closed()


async def test_nonsense_after_a_request_waits_for_its_answer(caller: Caller) -> None:
    caller.send(infer(body(1)), get("/v2/health/live"), b"nonsense\r\n\r\n")
    assert [(await caller.answer()).status for _ in range(2)] == [200, 200]
    assert await caller.closed()


@pytest.mark.parametrize(
    "sent",
    [b"POST " + INFER.encode() + b" HTTP/1.1\r\nhost:", infer(body(1))[:-3], b"GET /v2 HTT"],
    ids=["in the head", "in the body", "in the first line"],
)
async def test_a_caller_that_does_not_come_to_an_end_is_sent_away_and_others_are_answered(
    world: World, caller: Caller, sent: bytes
) -> None:
    caller.send(sent)
    async with calling(world) as other:
        other.send(infer(body(1)))
        assert (await other.answer()).status == 200
    answer = await caller.answer()
    assert answer.status == 408
    assert "did not come to an end within 1 s" in answer.body["error"]
    assert await caller.closed()


async def test_a_caller_that_hangs_up_in_the_middle_is_counted_and_done_with(world: World) -> None:
    async with calling(world) as caller:
        caller.send(infer(body(1))[:-3])
        await until(lambda: world.recorder.in_flight == 1)
    await until(lambda: world.recorder.in_flight == 0)
    assert world.recorder.requests == {("none", 499, "http"): 1}


async def test_a_caller_that_hangs_up_while_it_waits_frees_its_place(tmp_path: Path) -> None:
    async with serving_world(tmp_path, max_bytes=LIMIT, rules=Rules(batch_wait=1.0)) as world:
        world.put(ScriptedModel(), TOGETHER)
        async with calling(world) as caller:
            caller.send(infer(body(1)))
            await until(lambda: world.service.executor.rows_inside == 1)
        await until(lambda: world.service.executor.rows_inside == 0)
        assert world.recorder.requests == {("none", 499, "http"): 1}


async def test_a_request_whose_deadline_passes_is_answered_with_504(tmp_path: Path) -> None:
    async with serving_world(tmp_path, max_bytes=LIMIT, rules=Rules(batch_wait=0.05)) as world:
        world.put(ScriptedModel(), TOGETHER)
        async with calling(world) as caller:
            caller.send(infer(body(1, parameters={"timeout": 10_000})))
            caller.send(infer(body(2), "x-envoy-expected-rq-timeout-ms: 10"))
            caller.send(infer(body(3), "x-envoy-expected-rq-timeout-ms: 9000"))
            caller.send(infer(body(4), "x-envoy-expected-rq-timeout-ms: soon"))
            assert [(await caller.answer()).status for _ in range(4)] == [504, 504, 200, 400]


@pytest.mark.parametrize("given", [0, -1, 1.5, "soon", True, None])
async def test_a_timeout_that_is_no_number_of_microseconds_is_refused(caller: Caller, given: Any) -> None:
    caller.send(infer(body(1, parameters={"timeout": given})))
    answer = await caller.answer()
    assert answer.status == 400
    assert "parameter 'timeout'" in answer.body["error"]


async def test_trace_context_comes_back_with_the_answer(caller: Caller) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    caller.send(infer(body(1), f"traceparent: {trace}"))
    assert (await caller.answer()).headers["traceparent"] == trace


async def test_what_is_too_much_is_refused_with_the_time_to_try_again(tmp_path: Path) -> None:

    async with serving_world(tmp_path, max_bytes=LIMIT, rules=Rules(bounds=Bounds(rows=2))) as world:
        world.put(ScriptedModel(), TOGETHER)
        async with calling(world) as caller:
            caller.send(*(infer(body(n)) for n in range(5)))
            answers = [await caller.answer() for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
        assert answers[2].headers["retry-after"] == "1"


async def test_a_server_that_closes_answers_what_is_under_way(tmp_path: Path) -> None:
    slow = asyncio.get_running_loop()
    async with serving_world(tmp_path, max_bytes=LIMIT, rules=Rules(batch_wait=0.2)) as world:
        world.put(ScriptedModel(), TOGETHER)
        async with calling(world) as idle, calling(world) as busy:
            busy.send(infer(body(1)))
            await until(lambda: world.service.executor.rows_inside == 1)
            closing = slow.create_task(world.http.close())
            answer = await busy.answer()
            assert first_number(answer) == 2
            assert answer.headers["connection"] == "close"
            assert await busy.closed()
            assert await idle.closed()
            await closing


async def test_a_thousand_idle_connections_do_not_keep_others_from_answers(world: World) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", world.http.port) for _ in range(1000)]
    async with calling(world) as caller:
        caller.send(infer(body(1)))
        assert first_number(await caller.answer()) == 2
    for _, writer in idle:
        writer.close()


async def test_a_request_that_offers_another_protocol_is_answered_in_this_one(caller: Caller) -> None:
    smuggled = infer(body(99))
    offer = "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"
    caller.send(infer(body(3), *offer))
    assert first_number(await caller.answer()) == 6
    head, _, _ = infer(smuggled, *offer).partition(b"\r\n\r\n")
    caller.send(head + b"\r\n\r\n")
    await caller.writer.drain()
    caller.send(smuggled, infer(body(4)))
    assert (await caller.answer()).status == 400
    assert first_number(await caller.answer()) == 8


@pytest.mark.parametrize("path", [f"http://m{INFER}", f"{INFER}#part"])
async def test_a_target_in_another_form_runs_the_model_too(caller: Caller, path: str) -> None:
    caller.send(infer(body(4), path=path))
    assert first_number(await caller.answer()) == 8


async def test_a_long_request_and_the_beginning_of_the_next_in_one_piece_are_both_answered(tmp_path: Path) -> None:
    async with serving_world(tmp_path, max_bytes=1_000_000) as world:
        world.put(ScriptedModel(), TOGETHER)
        long = body(1)[:-1] + b" " * 150_000 + b"}"
        second = infer(body(2))
        async with calling(world) as caller:
            caller.send(infer(long), second[:40])
            assert first_number(await caller.answer()) == 2
            caller.send(second[40:])
            assert first_number(await caller.answer()) == 4


async def test_trailers_without_end_are_refused(world: World, caller: Caller) -> None:
    caller.send(f"POST {INFER} HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n0\r\n".encode())
    await caller.writer.drain()
    await until(lambda: world.recorder.in_flight == 1)
    for number in range(4):
        caller.send(b"x%d: %b\r\n" % (number, b"a" * MAX_HEAD_BYTES))
        await caller.writer.drain()
    assert (await caller.answer()).status == 400
    assert await caller.closed()


@pytest.mark.parametrize("path", [INFER, "/v2"])
async def test_a_caller_that_reads_no_answers_is_read_no_more_and_in_the_end_sent_away(world: World, path: str) -> None:
    (connection,) = [found async for found in _connected(world)]
    request = infer(body(1)) if path == INFER else get(path)
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection.send(request * 200_000)
    await until(lambda: not open_connections(world))
    assert sum(world.recorder.requests.values()) < 150_000
    connection.writer.transport.abort()


async def _connected(world: World) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.http.port)
    await until(lambda: bool(open_connections(world)))
    yield Caller(reader, writer)


def open_connections(world: World) -> int:
    return world.http.connections


async def test_bodies_that_are_still_coming_are_bounded_together(tmp_path: Path) -> None:
    async with serving_world(tmp_path, max_bytes=LIMIT, rules=Rules(bounds=Bounds(size=15_000))) as world:
        world.put(ScriptedModel(), TOGETHER)
        async with calling(world) as one, calling(world) as other:
            one.send(infer(b" " * 9000)[:-1])
            await until(lambda: world.service.arriving.size > 8000)
            other.send(infer(b" " * 9000))
            assert (await other.answer()).status == 429
            one.send(b" ")
            assert (await one.answer()).status == 400
        assert world.service.arriving.size == 0


@pytest.mark.parametrize("field", ["shape", "name", "datatype"])
async def test_what_is_nested_deeply_is_refused(caller: Caller, field: str) -> None:
    nested = b"[" * 1000 + b"]" * 1000
    message = json.loads(body(1))
    message["inputs"][0][field] = "here"
    content = json.dumps(message).encode().replace(b'"here"', nested)
    caller.send(infer(content))
    assert (await caller.answer()).status == 400


async def test_what_was_refused_is_quoted_only_in_part(caller: Caller) -> None:
    message = json.loads(body(1))
    message["inputs"][0]["name"] = "x" * 9000
    caller.send(infer(json.dumps(message).encode()))
    answer = await caller.answer()
    assert answer.status == 400
    assert len(answer.body["error"]) <= 1001


async def test_a_bad_end_of_a_request_that_has_its_answer_gets_no_second_one(caller: Caller) -> None:
    caller.send(b"POST /v2/models/other/infer HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n")
    assert (await caller.answer()).status == 404
    caller.send(b"zz\r\n")
    assert await caller.closed()
