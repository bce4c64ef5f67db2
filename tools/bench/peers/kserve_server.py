"""How does KServe's Python server run the model?"""

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from model import GRPC_PORT, HTTP_PORT, NAME, run, session


class OnnxModel(Model):
    """A model of KServe's that is ONNX Runtime."""

    def load(self) -> bool:
        """Open the model."""
        self._loaded = session()
        self.ready = True
        return True

    def predict(self, payload: InferRequest, headers: object = None, response_headers: object = None) -> InferResponse:
        """Answer one request, in the encoding that it asks for."""
        del headers, response_headers
        answer = run(self._loaded, payload.inputs[0].as_numpy().astype(np.float32, copy=False))
        output = InferOutput("output", list(answer.shape), "FP32")
        output.set_data_from_numpy(answer, binary_data=payload.use_binary_outputs)
        return InferResponse(
            payload.id or "1",
            self.name,
            [output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


model = OnnxModel(NAME)
model.load()
ModelServer(
    http_port=HTTP_PORT, grpc_port=GRPC_PORT, workers=1, enable_latency_logging=False, access_log_format=None
).start([model])
