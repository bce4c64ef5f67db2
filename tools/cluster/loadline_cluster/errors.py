"""What can go wrong, and what is to be done then?"""

from collections.abc import Sequence
from pathlib import Path


class ClusterToolError(Exception):
    """Something failed, and the message says what, on which object, and what to do."""


class CommandFailedError(ClusterToolError):
    """An external command ended with an error or ran past its deadline."""

    def __init__(self, command: Sequence[str], *, ending: str, stderr: str, log: Path, remedy: str) -> None:
        tail = "\n".join(f"    {line}" for line in stderr.strip().splitlines()[-15:])
        message = f"{' '.join(command)}\n  {ending}"
        if tail:
            message += f"; it said (all of it: {log}):\n{tail}"
        if remedy:
            message += f"\n  What to do: {remedy}"
        super().__init__(message)
        self.stderr = stderr


class MissingProgramError(ClusterToolError):
    """A program that this machine must bring is absent."""

    def __init__(self, program: str, remedy: str) -> None:
        super().__init__(f"No {program} on this machine\n  What to do: {remedy}")
