"""How does the operator learn why a container ended?"""

import json
import logging
import os
from pathlib import Path

from loadline_serving.errors import StartupFault

log = logging.getLogger(__name__)

_MAX_BYTES = 4096
"""The kubelet keeps no more of it."""


def report(fault: StartupFault) -> None:
    """Write the fault where the kubelet picks it up as the container's termination message, and log it."""
    log.error("Ended on a fault", extra={"reason": fault.reason.value, "detail": fault.message})
    path = Path(os.environ.get("LOADLINE_TERMINATION_LOG", "/dev/termination-log"))
    message = fault.message
    while len(line := json.dumps({"reason": fault.reason.value, "message": message}).encode()) >= _MAX_BYTES:
        message = message[: len(message) * 3 // 4]
    if path.exists() or (os.access(path.parent, os.W_OK) and path.parent != Path("/dev")):
        path.write_bytes(line + b"\n")
