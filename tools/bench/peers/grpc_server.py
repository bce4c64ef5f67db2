"""What does grpc.aio cost with nothing around it? `ModelInfer` of the Open Inference Protocol, raw contents."""

import asyncio

import grpc
import numpy as np
import open_inference_pb2 as messages
from model import GRPC_PORT, run, session

loaded = session()


async def infer(
    request: messages.ModelInferRequest, _context: "grpc.aio.ServicerContext[object, object]"
) -> messages.ModelInferResponse:
    """Answer one request."""
    rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tuple(request.inputs[0].shape))
    answer = run(loaded, rows)
    output = messages.ModelInferResponse.InferOutputTensor(name="output", datatype="FP32", shape=answer.shape)
    return messages.ModelInferResponse(
        model_name=request.model_name, outputs=[output], raw_output_contents=[answer.tobytes()]
    )


async def main() -> None:
    """Serve until killed."""
    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=messages.ModelInferRequest.FromString,
        response_serializer=messages.ModelInferResponse.SerializeToString,
    )
    server = grpc.aio.server()
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{GRPC_PORT}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
