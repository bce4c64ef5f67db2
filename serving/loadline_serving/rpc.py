"""How does the model answer over gRPC?"""

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from typing_extensions import override

from loadline_serving.errors import InternalFaultError, NotReadyError, OverloadedError, RequestError
from loadline_serving.headers import ARM, TIMEOUT, TRACE, seconds_of
from loadline_serving.inference import InferRequest
from loadline_serving.metrics import GRPC
from loadline_serving.protocol import messages, metadata
from loadline_serving.protocol import open_inference_pb2 as pb
from loadline_serving.protocol import open_inference_pb2_grpc as pb_grpc
from loadline_serving.service import Service

SERVICE = "inference.GRPCInferenceService"
_OUR_FAILURES = frozenset({"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
_NEVER = float("inf")
log = logging.getLogger(__name__)
if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """The protocol's service."""

    def __init__(self, service: Service) -> None:
        self._slot = service.slot
        self._executor = service.executor
        self._lifecycle = service.lifecycle
        self._recorder = service.recorder
        self._access_log = service.access_log

    async def infer(self, data: bytes, context: "Context") -> bytes:
        """Run the model: ModelInfer on bytes as they came, so that what is no message gets an answer of ours."""
        headers = _Headers(context)
        self._lifecycle.touch()
        self._recorder.arrived()
        code = "CANCELLED"
        try:
            answer = await self._infer(data, headers, context)
        except RequestError as error:
            code = error.grpc_status
            await self._abort(context, headers, error)
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            code = "CANCELLED" if remaining is None or remaining > 0 else "DEADLINE_EXCEEDED"
            raise
        except Exception:
            log.exception("A call met a fault of ours")
            fault = InternalFaultError()
            code = fault.grpc_status
            await self._abort(context, headers, fault)
        else:
            code = "OK"
            if headers.trace:
                context.set_trailing_metadata(headers.answer())
            return answer
        finally:
            self._count(headers, code)
        raise AssertionError("an aborted call goes no further")

    async def _abort(self, context: "Context", headers: "_Headers", error: RequestError) -> None:
        pushback: tuple[tuple[str, str], ...] = ()
        if isinstance(error, OverloadedError):
            pushback = (("grpc-retry-pushback-ms", str(error.RETRY_SECONDS * 1000)),)
        context.set_trailing_metadata((*headers.answer(), *pushback))
        await context.abort(grpc.StatusCode[error.grpc_status], error.message)

    async def _infer(self, data: bytes, headers: "_Headers", context: "Context") -> bytes:
        identity = self._slot.identity
        message = messages.parse(data)
        identity.expect(message.model_name, message.model_version)
        self._executor.expect_room()
        signature = self._slot.get().signature
        request = messages.decode(message, signature)
        results = await self._executor.infer(request, headers.deadline(context, request), len(data))
        begun = perf_counter()
        answer = messages.encode(request, results, signature, identity).SerializeToString()
        self._recorder.stages.encode.observe(perf_counter() - begun)
        return answer

    def _count(self, headers: "_Headers", code: str) -> None:
        seconds = perf_counter() - headers.arrived
        self._recorder.answered(headers.arm.encode(), code, GRPC, seconds)
        if self._access_log.wants(failed=code in _OUR_FAILURES):
            self._access_log.tell(
                protocol=GRPC, code=code, seconds=round(seconds, 6), arm=headers.arm, trace=headers.trace or None
            )

    @override
    async def ServerLive(self, request: pb.ServerLiveRequest, context: "Context") -> pb.ServerLiveResponse:
        """Whether the process runs."""
        return pb.ServerLiveResponse(live=True)

    @override
    async def ServerReady(self, request: pb.ServerReadyRequest, context: "Context") -> pb.ServerReadyResponse:
        """Whether requests should be sent here."""
        return pb.ServerReadyResponse(ready=self._lifecycle.wants_requests)

    @override
    async def ModelReady(self, request: pb.ModelReadyRequest, context: "Context") -> pb.ModelReadyResponse:
        """Whether the model answers."""
        await self._expect(context, request.name, request.version)
        return pb.ModelReadyResponse(ready=self._lifecycle.wants_requests)

    @override
    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: "Context") -> pb.ServerMetadataResponse:
        """What the server is."""
        return pb.ServerMetadataResponse(**metadata.server())

    @override
    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: "Context") -> pb.ModelMetadataResponse:
        """What the model takes and gives."""
        await self._expect(context, request.name, request.version)
        try:
            signature = self._slot.get().signature
        except NotReadyError as error:
            await context.abort(grpc.StatusCode[error.grpc_status], error.message)
        return pb.ModelMetadataResponse(**metadata.model(self._slot.identity, signature))

    async def _expect(self, context: "Context", name: str, version: str) -> None:
        try:
            self._slot.identity.expect(name, version)
        except RequestError as error:
            await context.abort(grpc.StatusCode[error.grpc_status], error.message)


class GrpcServer:
    """The listening server, with the standard health service beside ours."""

    def __init__(self, service: InferenceService, host: str, port: int, *, max_bytes: int) -> None:
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ]
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(service, self._server)  # type: ignore[no-untyped-call]
        infer = grpc.unary_unary_rpc_method_handler(service.infer)
        self._server.add_registered_method_handlers(  # type: ignore[attr-defined]  # missing in the stubs
            SERVICE, {"ModelInfer": infer}
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        # A client can ask for the protocol itself, so that grpcurl and its like need no file of it.
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")

    async def start(self) -> None:
        """Accept calls; health says NOT_SERVING until the model is there."""
        await self.tell(serving=False)
        await self._server.start()

    async def tell(self, *, serving: bool) -> None:
        """What the health service answers from now on."""
        status = health_pb2.HealthCheckResponse
        for service in ("", SERVICE):
            await self._health.set(service, status.SERVING if serving else status.NOT_SERVING)

    async def close(self, grace: float) -> None:
        """Send every connection away politely and wait for the calls under way."""
        await self._server.stop(grace)


class _Headers:
    """What a call's metadata say to us."""

    __slots__ = ("arm", "arrived", "gateway_waits", "trace")

    def __init__(self, context: "Context") -> None:
        self.arrived = perf_counter()
        self.arm = ""
        self.trace = ""
        self.gateway_waits = ""
        """Milliseconds."""
        for key, value in context.invocation_metadata() or ():
            if key == ARM:
                self.arm = _text(value)
            elif key == TRACE:
                self.trace = _text(value)
            elif key == TIMEOUT:
                self.gateway_waits = _text(value)

    def answer(self) -> tuple[tuple[str, str], ...]:
        """What goes back with every answer."""
        return ((TRACE, self.trace),) if self.trace else ()

    def deadline(self, context: "Context", request: InferRequest) -> float:
        """When nobody waits any more: by the gateway, the call or the message; in perf_counter's seconds."""
        deadline = _NEVER
        if self.gateway_waits:
            deadline = self.arrived + seconds_of(self.gateway_waits)
        if (remaining := context.time_remaining()) is not None:
            deadline = min(deadline, perf_counter() + remaining)
        return deadline if request.timeout is None else min(deadline, self.arrived + request.timeout)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
