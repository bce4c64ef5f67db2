"""How does a request of the JSON protocols beside V2 (V1, /predict) get its answer?

Raw ASGI as V2: FastAPI's routing and pydantic cost several times what a small model does.
"""

from collections.abc import Callable, Mapping
from time import perf_counter

from loadline_serving.errors import RequestError
from loadline_serving.execution import Executor
from loadline_serving.http.body import read_body
from loadline_serving.http.infer import ARM_HEADER, AsgiApp, Headers, Receive, Scope, Send, error_body
from loadline_serving.inference import Identity, Slot
from loadline_serving.metrics import HTTP, Recorder
from loadline_serving.protocol import tables, v1
from loadline_serving.protocol.questions import Reader
from loadline_serving.signature import Signature

PREDICT = "/predict"
MakeReader = Callable[[Signature, Identity], Reader]


def v1_predict(model: str) -> str:
    """The path of V1's predict."""
    return f"/v1/models/{model}:predict"


def endpoints(
    slot: Slot, executor: Executor, recorder: Recorder, *, max_bytes: int, closing: Callable[[], bool]
) -> Mapping[str, AsgiApp]:
    """What answers POST, by its path."""
    readers: Mapping[str, MakeReader] = {v1_predict(slot.identity.name): v1.Reader, PREDICT: tables.Reader}
    return {
        path: PredictEndpoint(make_reader, slot, executor, recorder, max_bytes=max_bytes, closing=closing)
        for path, make_reader in readers.items()
    }


class PredictEndpoint:
    """Answers POST of one protocol."""

    def __init__(
        self,
        make_reader: MakeReader,
        slot: Slot,
        executor: Executor,
        recorder: Recorder,
        *,
        max_bytes: int,
        closing: Callable[[], bool],
    ) -> None:
        self._make_reader = make_reader
        self._slot = slot
        self._executor = executor
        self._recorder = recorder
        self._max_bytes = max_bytes
        self._closing = closing
        self._reader: Reader | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever becomes of it, and count it."""
        started = perf_counter()
        self._recorder.arrived()
        arm, status = b"", 500
        try:
            arm = next((value for name, value in scope["headers"] if name == ARM_HEADER), b"")
            try:
                body = await read_body(scope["headers"], receive, self._max_bytes)
                if body is None:
                    status = 499
                    return
                status, answer = 200, await self._answer(body)
            except RequestError as error:
                status, answer = error.http_status, error_body(error.message)
            await send({"type": "http.response.start", "status": status, "headers": self._headers(answer)})
            await send({"type": "http.response.body", "body": answer})
        finally:
            self._recorder.answered(arm, status, HTTP, perf_counter() - started)

    async def _answer(self, body: bytes) -> bytes:
        # The process serves one model for life: what its signature asks for is worked out once.
        if self._reader is None:
            self._reader = self._make_reader(self._slot.get().signature, self._slot.identity)
        question = self._reader.read(body)
        return question.write(await self._executor.infer(question.request))

    def _headers(self, answer: bytes) -> Headers:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        return [*headers, (b"connection", b"close")] if self._closing() else headers
