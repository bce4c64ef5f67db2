"""What do all rounds together say about a cell, and about one server beside another?"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple, Self

from loadline_results.lines import Line

from loadline_bench.cells import Cell, Figures
from loadline_bench.peers import Encoding

Figure = Literal["cpu_us", "rate", "p50_ms", "p99_ms", "resident_mib", "cold_start_seconds"]


class Place(NamedTuple):
    """A cell in whichever round."""

    model: str
    peer: str
    encoding: Encoding
    concurrency: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A median over rounds, and how far the rounds lie apart."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """The spread of what was seen; None where nothing was."""
        seen = sorted(values)
        return cls(median=median(seen), low=seen[0], high=seen[-1], rounds=len(seen)) if seen else None


@dataclass(frozen=True)
class Results:
    """All cells that were measured; of one that was measured twice the last."""

    cells: dict[Cell, Figures]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        """What the lines of a file hold."""
        read = ((line.round, Figures.model_validate(line.figures)) for line in lines)
        return cls({figures.cell(number): figures for number, figures in read})

    @property
    def rounds(self) -> int:
        """The rounds that were begun."""
        return len({cell.round for cell in self.cells})

    def places(self) -> set[Place]:
        """The cells, whichever their round."""
        return {Place(*cell[1:]) for cell in self.cells}

    def spread(self, place: Place, figure: Figure) -> Spread | None:
        """One figure of one cell over all rounds."""
        return Spread.of(self._seen(place, figure).values())

    def ratio(self, above: Place, below: Place, figure: Figure) -> Spread | None:
        """One server's figure over another's, taken within each round: what moves both moves no ratio."""
        over, under = self._seen(above, figure), self._seen(below, figure)
        return Spread.of(over[number] / under[number] for number in over if under.get(number))

    def faults(self) -> dict[Place, str]:
        """Why cells have no figures that could be trusted."""
        return {Place(*cell[1:]): figures.fault for cell, figures in self.cells.items() if figures.fault}

    def _seen(self, place: Place, figure: Figure) -> dict[int, float]:
        return {
            cell.round: getattr(figures, figure)
            for cell, figures in self.cells.items()
            if cell[1:] == place and not figures.fault
        }
