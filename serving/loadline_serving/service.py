"""What do both protocols' servers share?"""

from dataclasses import dataclass

from loadline_serving.access_log import AccessLog
from loadline_serving.execution import Executor
from loadline_serving.inference import Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One model's service, whichever way it is reached."""

    slot: Slot
    executor: Executor
    lifecycle: Lifecycle
    recorder: Recorder
    access_log: AccessLog
    max_bytes: int
    """The largest request."""
    receive_seconds: float
    """Within which a request must have come to its end."""
