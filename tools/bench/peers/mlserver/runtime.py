"""How does MLServer run the model?"""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from model import run, session


class OnnxRuntime(MLModel):
    """A runtime of MLServer's that is ONNX Runtime."""

    async def load(self) -> bool:
        """Open the model."""
        self._loaded = session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        answer = run(self._loaded, rows.astype(np.float32, copy=False))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", answer)])
