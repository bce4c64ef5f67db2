"""How does BentoML run the model?"""

import bentoml
import numpy as np
from model import run, session


@bentoml.service(workers=1, traffic={"timeout": 30})
class Bench:
    """The service."""

    def __init__(self) -> None:
        """Open the model."""
        self._loaded = session()

    @bentoml.api
    async def infer(self, x: np.ndarray) -> np.ndarray:
        """Answer one request."""
        return run(self._loaded, x.astype(np.float32, copy=False))
