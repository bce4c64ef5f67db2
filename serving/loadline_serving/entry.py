"""What must stand before anything else is imported?

A container's first process gets no default action for SIGTERM. What comes before there is a handler is lost for good,
and the pod then keeps its node waiting for the whole grace period. Imports take long enough for that to happen.
"""

import os
import signal
from typing import NoReturn

_TERMINATED = 128 + signal.SIGTERM


def run() -> NoReturn:
    """Be the process; until the command takes the signal over, SIGTERM ends it on the spot."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_TERMINATED))
    from loadline_serving.main import run as run_command  # noqa: PLC0415

    run_command()
