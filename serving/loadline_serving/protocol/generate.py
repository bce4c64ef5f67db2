"""How are the gRPC modules beside this file written from open_inference.proto?

`make generate` runs it; its import is a development tool that no image has.
"""

import sys
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PROTO = "loadline_serving/protocol/open_inference.proto"


def main() -> int:
    """Write the messages, their types, and the service."""
    outputs = [f"--{kind}_out={ROOT}" for kind in ("python", "pyi", "grpc_python")]
    return int(protoc.main(["protoc", f"-I{ROOT}", *outputs, PROTO]))


if __name__ == "__main__":
    sys.exit(main())
