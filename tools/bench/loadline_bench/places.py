"""Where does everything lie that the benchmark needs?"""

import sys
from dataclasses import dataclass
from pathlib import Path

from loadline_bench.models import Model, ModelFiles
from loadline_bench.peers import Peer


@dataclass(frozen=True, kw_only=True)
class Places:
    """The repository, and the folder in the cache where environments, models and logs lie."""

    root: Path
    cache: Path

    @property
    def models(self) -> ModelFiles:
        """The models."""
        return ModelFiles(self.cache / "models")

    @property
    def scripts(self) -> Path:
        """The peers' servers."""
        return self.root / "tools/bench/peers"

    @property
    def maker(self) -> Path:
        """The script that makes the models."""
        return self.root / "tools/bench/make_model.py"

    @property
    def messages(self) -> Path:
        """The protocol's messages for gRPC, as a module that stands alone."""
        return self.root / "serving/loadline_serving/protocol"

    def python(self, peer: Peer) -> Path:
        """The interpreter that runs a peer."""
        return self.cache / "envs" / peer.name / "bin/python" if peer.installed else Path(sys.executable)

    def requirements(self, peer: Peer) -> Path:
        """What is in a peer's environment."""
        folder = self.root / "requirements"
        return folder / "peers" / f"{peer.name}.txt" if peer.installed else folder / "dev.txt"

    def log(self, peer: Peer, model: Model) -> Path:
        """What a peer says while it serves."""
        return self.cache / "logs" / f"{peer.name}-{model.name}.log"

    def scratch(self, peer: Peer) -> Path:
        """Where a peer may write."""
        return self.cache / "scratch" / peer.name


def version(requirements: str, distribution: str) -> str:
    """The version of a distribution that a requirement file names."""
    pins = (line.split()[0].split("==") for line in requirements.splitlines() if "==" in line and line[0].isalnum())
    return next((pin[1] for pin in pins if pin[0] == distribution), "")
