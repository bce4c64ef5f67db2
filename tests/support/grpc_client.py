"""How a client asks a model over gRPC: by the model's own hostname, or by metadata."""

from collections.abc import Sequence

import grpc
from loadline_serving.protocol import open_inference_pb2 as messages
from loadline_serving.protocol.open_inference_pb2_grpc import GRPCInferenceServiceStub
from support import names
from support.onnx_models import INPUT

Row = Sequence[float]


def ask(
    target: str, model: str, rows: Sequence[Row], *, authority: str = "", addressed: str = "", token: str = ""
) -> list[float]:
    """The model's answer to rows, addressed by an authority or by the metadata `loadline-model`."""
    options = [("grpc.default_authority", authority)] if authority else []
    metadata = [(names.MODEL_METADATA, addressed)] if addressed else []
    metadata += [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(target, options=options) as channel:
        stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        answer = stub.ModelInfer(request(model, rows), metadata=metadata, timeout=10)
    return _values(answer)


def request(model: str, rows: Sequence[Row]) -> messages.ModelInferRequest:
    """Rows as a gRPC infer request."""
    tensor = messages.ModelInferRequest.InferInputTensor(
        name=INPUT,
        datatype="FP32",
        shape=[len(rows), len(rows[0])],
        contents=messages.InferTensorContents(fp32_contents=[value for row in rows for value in row]),
    )
    return messages.ModelInferRequest(model_name=model, inputs=[tensor])


def _values(answer: messages.ModelInferResponse) -> list[float]:
    if answer.raw_output_contents:
        raw = memoryview(answer.raw_output_contents[0]).cast("f")
        return list(raw)
    return list(answer.outputs[0].contents.fp32_contents)
