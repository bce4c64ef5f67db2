"""The command: `python -m loadline_bench COMMAND`."""

import os
import sys

# Servers are started while channels of gRPC are open; its handlers for a fork would only warn.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from loadline_bench.cli import measure
from loadline_bench.cold_start import cold_start
from loadline_bench.memory import memory
from loadline_bench.publish import publish

COMMANDS = {"measure": measure, "memory": memory, "cold-start": cold_start, "page": publish}


def main() -> int:
    """Run one command and return its exit status."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m loadline_bench {'|'.join(COMMANDS)} [--help]")
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
