"""How is a V2 infer message read from and written to gRPC's messages, with raw or typed contents?"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from loadline_serving.datatypes import Array
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import Identity, InferRequest
from loadline_serving.protocol import open_inference_pb2 as pb
from loadline_serving.protocol.parameters import refuse_foreign
from loadline_serving.protocol.tensors import from_bytes, from_contents, to_bytes
from loadline_serving.signature import Signature, TensorSpec


def parse(data: bytes) -> pb.ModelInferRequest:
    """The message in a call's bytes."""
    try:
        return pb.ModelInferRequest.FromString(data)
    except DecodeError as error:
        raise BadRequestError(f"the call's bytes are no ModelInferRequest: {error}") from None


def decode(message: pb.ModelInferRequest, signature: Signature) -> InferRequest:
    """The request in a message."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise BadRequestError(
            f"raw_input_contents has {len(raw)} elements; it needs one for each of the {len(message.inputs)} inputs"
        )
    feeds: dict[str, Array] = {}
    for index, tensor in enumerate(message.inputs):
        spec = signature.input(tensor.name, feeds)
        shape = list(tensor.shape)
        count = spec.expect(tensor.datatype, shape)
        refuse_foreign(tensor.parameters, f"input '{spec.name}'")
        if not raw:
            feeds[spec.name] = _typed(spec, shape, count, tensor.contents)
        elif tensor.HasField("contents"):
            raise BadRequestError(f"input '{spec.name}' has contents beside raw_input_contents")
        else:
            feeds[spec.name] = from_bytes(spec, shape, count, raw[index])
    signature.expect_all(feeds)
    outputs = signature.wanted([output.name for output in message.outputs])
    for output in message.outputs:
        refuse_foreign(output.parameters, f"output '{output.name}'")
    return InferRequest(id=message.id or None, feeds=feeds, outputs=outputs, raw=bool(raw), timeout=_timeout(message))


def encode(
    request: InferRequest, results: Sequence[Array], signature: Signature, identity: Identity
) -> pb.ModelInferResponse:
    """The answer, raw if the request was raw or an output has no typed form."""
    answer = pb.ModelInferResponse(model_name=identity.name, model_version=identity.version, id=request.id or "")
    datatypes = [signature.outputs[name].datatype for name in request.outputs]
    raw = request.raw or any(datatype.contents is None for datatype in datatypes)
    for name, datatype, result in zip(request.outputs, datatypes, results, strict=True):
        output = answer.outputs.add(name=name, datatype=datatype.name, shape=result.shape)
        if raw:
            answer.raw_output_contents.append(to_bytes(result))
        else:
            values = result.ravel().tolist()
            typed = [str(value).encode() for value in values] if datatype.name == "BYTES" else values
            getattr(output.contents, str(datatype.contents)).extend(typed)
    return answer


def _timeout(message: pb.ModelInferRequest) -> float | None:
    """The parameter `timeout`, microseconds as in Triton's scheduling extension, in seconds."""
    if "timeout" not in message.parameters:
        return None
    parameter = message.parameters["timeout"]
    kind = parameter.WhichOneof("parameter_choice")
    value = getattr(parameter, kind) if kind in {"int64_param", "uint64_param"} else 0
    if value <= 0:
        raise BadRequestError("parameter 'timeout' is not a positive whole number of microseconds")
    return float(value) / 1e6


def _typed(spec: TensorSpec, shape: list[int], count: int, contents: pb.InferTensorContents) -> Array:
    field = spec.datatype.contents
    if field is None:
        raise BadRequestError(
            f"input '{spec.name}' is {spec.datatype.name}, which has no typed contents; send it in raw_input_contents"
        )
    for other, _ in contents.ListFields():
        if other.name != field:
            raise BadRequestError(f"input '{spec.name}' has {other.name}; {spec.datatype.name} goes into {field}")
    return from_contents(spec, shape, count, getattr(contents, field))
