"""How do the requests of all protocols meet the model?"""

from collections.abc import Sequence

from loadline_serving.datatypes import Array
from loadline_serving.inference import InferRequest, Slot


class Executor:
    """The one way to the model."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def infer(self, request: InferRequest) -> Sequence[Array]:
        """The outputs that the request asks for, in its order; raises RequestError."""
        return self._slot.get().run(request.outputs, request.feeds)
