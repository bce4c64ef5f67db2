"""What goes to the servers, and what is read from them."""

import json

import numpy as np
import pytest
from loadline_bench.bodies import LENGTH_HEADER, UnreadableAnswerError, body, values
from loadline_bench.models import MODELS
from loadline_bench.peers import Dialect, Encoding
from loadline_serving.protocol import open_inference_pb2 as messages

ROWS = np.array([[0.1234, -2.5]], np.float32)
V2 = Dialect()


def test_json_is_written_with_the_few_digits_that_the_rows_were_made_with() -> None:
    assert b'"data":[0.1234,-2.5]' in body(Encoding.JSON, V2, ROWS).data


def test_a_peers_own_json_holds_rows_under_its_key() -> None:
    sent = body(Encoding.JSON, Dialect(path="/infer", rows="x"), ROWS)
    assert (sent.path, json.loads(sent.data)) == ("/infer", {"x": [[0.1234, -2.5]]})


def test_a_binary_body_is_json_of_the_told_length_and_then_the_tensor() -> None:
    sent = body(Encoding.BINARY, V2, ROWS)
    length = int(sent.headers[LENGTH_HEADER])
    head = json.loads(sent.data[:length])
    assert head["inputs"][0]["parameters"]["binary_data_size"] == len(sent.data) - length
    assert sent.data[length:] == ROWS.tobytes()


def test_a_message_carries_the_tensor_raw() -> None:
    sent = messages.ModelInferRequest.FromString(body(Encoding.GRPC, V2, ROWS).data)
    assert (sent.raw_input_contents[0], list(sent.inputs[0].shape)) == (ROWS.tobytes(), [1, 2])


HEAD = b'{"outputs":[{"shape":[1,2]}]}'
OUTPUT = messages.ModelInferResponse.InferOutputTensor(name="output", datatype="FP32", shape=[1, 2])
TYPED = messages.ModelInferResponse.InferOutputTensor(
    name="output", datatype="FP32", shape=[1, 2], contents=messages.InferTensorContents(fp32_contents=ROWS.ravel())
)


@pytest.mark.parametrize(
    ("encoding", "headers", "data"),
    [
        (Encoding.JSON, {}, b'{"outputs":[{"name":"output","shape":[1,2],"data":[0.1234,-2.5]}]}'),
        (Encoding.JSON, {}, b"[[0.1234,-2.5]]"),
        (Encoding.JSON, {}, b'{"output":[[0.1234,-2.5]]}'),
        (Encoding.JSON, {}, b'{"predictions":{"output":[[0.1234,-2.5]]}}'),
        (Encoding.BINARY, {"inference-header-content-length": str(len(HEAD))}, HEAD + ROWS.tobytes()),
        (Encoding.BINARY, {}, b'{"outputs":[{"name":"output","shape":[1,2],"data":[0.1234,-2.5]}]}'),
        (
            Encoding.GRPC,
            {},
            messages.ModelInferResponse(outputs=[OUTPUT], raw_output_contents=[ROWS.tobytes()]).SerializeToString(),
        ),
        (Encoding.GRPC, {}, messages.ModelInferResponse(outputs=[TYPED]).SerializeToString()),
    ],
    ids=["V2", "bare rows", "one key", "two keys", "binary", "JSON for binary", "raw contents", "typed contents"],
)
def test_every_form_of_an_answer_is_read(encoding: Encoding, headers: dict[str, str], data: bytes) -> None:
    np.testing.assert_array_equal(values(encoding, headers, data), ROWS)


@pytest.mark.parametrize("data", [b"", b"no JSON", b'{"outputs":[]}', b'{"error":"text"}'])
def test_an_answer_without_a_tensor_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableAnswerError):
        values(Encoding.JSON, {}, data)


def test_rows_of_one_seed_are_always_the_same() -> None:
    first = MODELS[0].rows(1)
    np.testing.assert_array_equal(first, MODELS[0].rows(1))
    assert not np.array_equal(first, MODELS[0].rows(2))
