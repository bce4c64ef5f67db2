"""Which cells does a measurement have, and which of them are still to be measured?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from loadline_bench.models import Model
from loadline_bench.peers import Encoding, Peer

CONCURRENCIES = (1, 8, 64)


class Cell(NamedTuple):
    """One number of a table: a peer, a model, an encoding, so many connections, in one round."""

    round: int
    model: str
    peer: str
    encoding: Encoding
    concurrency: int


class Figures(BaseModel):
    """What was seen in one cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peer: str
    version: str
    model: str
    encoding: Encoding
    concurrency: int
    asked_seconds: int
    """How long the load was to last at least."""
    fault: str = ""
    """Why there are no figures, or none to trust."""
    requests: int = 0
    seconds: float = 0
    cpu_us: float = 0
    """Processor time of all the server's threads for each request."""
    core_share: float = 0
    """The share of its core that the server had."""
    p50_ms: float = 0
    p99_ms: float = 0
    failed: int = 0
    resident_mib: float = 0
    proportional_mib: float = 0
    processes: int = 0
    cold_start_seconds: float = 0
    """From the start of the process to the first right answer; it shares the core with nothing but the machine."""

    @property
    def rate(self) -> float:
        """Requests in a second."""
        return self.requests / self.seconds if self.seconds else 0

    def cell(self, number: int) -> Cell:
        """The cell of a round that these are the figures of."""
        return Cell(number, self.model, self.peer, self.encoding, self.concurrency)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be measured."""

    peers: tuple[Peer, ...]
    models: tuple[Model, ...]
    encodings: tuple[Encoding, ...]
    concurrencies: tuple[int, ...]
    rounds: int


def cells(wanted: Selection) -> Iterator[Cell]:
    """All cells, round by round. Each round begins with another peer, so that none has always the same neighbours."""
    for number in range(1, wanted.rounds + 1):
        first = (number - 1) % len(wanted.peers)
        for model in wanted.models:
            for peer in (*wanted.peers[first:], *wanted.peers[:first]):
                for encoding in peer.encodings:
                    if encoding is Encoding.NONE:
                        yield Cell(number, model.name, peer.name, encoding, 1)
                    elif encoding in wanted.encodings:
                        for concurrency in wanted.concurrencies:
                            yield Cell(number, model.name, peer.name, encoding, concurrency)


def left(wanted: Selection, done: Iterable[Cell]) -> list[Cell]:
    """The cells that are not done, in the order in which they are to be measured."""
    known = set(done)
    return [cell for cell in cells(wanted) if cell not in known]


def starts(order: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells that one start of a server is enough for."""
    for _, group in groupby(order, key=lambda cell: (cell.round, cell.model, cell.peer)):
        yield list(group)
