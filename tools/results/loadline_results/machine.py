"""Which machine a measurement was made on."""

import os
import platform
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Machine(BaseModel):
    """What a reader needs to judge a number by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    processor: str
    cores: int
    memory_gib: float
    system: str

    @classmethod
    def this(cls) -> Self:
        """The machine that this runs on."""
        return cls(
            processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / 2**20, 1),
            system=f"{platform.system()} {platform.release()}",
        )

    @property
    def told(self) -> str:
        """As the page of results names it."""
        return f"{self.processor}, {self.cores} cores, {self.memory_gib:g} GiB, {self.system}"


def _field(path: Path, name: str) -> str:
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return next((value.strip() for key, value in lines if key.strip() == name), "")
