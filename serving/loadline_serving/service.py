"""What do both protocols' servers share?"""

from dataclasses import dataclass

from loadline_serving.access_log import AccessLog
from loadline_serving.errors import OverloadedError
from loadline_serving.execution import Executor
from loadline_serving.inference import Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder


class Arriving:
    """Bytes of bodies that are still coming: nobody has admitted them yet, and they fill memory all the same."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = 0

    def take(self, size: int) -> None:
        """Make room for a part of a body, or raise OverloadedError. What finds nothing else here is always taken."""
        if self.size and self.size + size > self._most:
            raise OverloadedError(
                f"too many large requests: {self.size} bytes of bodies are arriving here, and no more than "
                f"{self._most} may; try again later or on another replica"
            )
        self.size += size

    def give_back(self, size: int) -> None:
        """The body is complete, or given up."""
        self.size -= size


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One model's service, whichever way it is reached."""

    slot: Slot
    executor: Executor
    lifecycle: Lifecycle
    recorder: Recorder
    access_log: AccessLog
    arriving: Arriving
    max_bytes: int
    """The largest request."""
    receive_seconds: float
    """Within which a request must have come to its end."""
