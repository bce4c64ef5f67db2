"""How does LitServe run the model?"""

from typing import Any

import litserve
import numpy as np
from model import HTTP_PORT, Rows, run, session


class Api(litserve.LitAPI):
    """The model, as LitServe wants it."""

    def setup(self, device: str) -> None:
        """Open the model."""
        del device
        self._loaded = session()

    def decode_request(self, request: dict[str, Any]) -> Rows:
        """The rows of a body."""
        return np.asarray(request["input"], np.float32)

    def predict(self, x: Rows) -> Rows:
        """The model's answer."""
        return run(self._loaded, x)

    def encode_response(self, output: Rows) -> dict[str, Any]:
        """The body of an answer."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1",
        port=HTTP_PORT,
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
