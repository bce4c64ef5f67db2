"""What must stand before anything else is imported?

A container's first process gets no default action for SIGTERM. What comes before there is a handler is lost for good,
and the pod then stays for its whole grace period. Imports take long enough for that to happen.
"""

import os
import signal

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from loadline_operators.main import main  # noqa: E402

main()
