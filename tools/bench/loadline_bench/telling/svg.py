"""How is a picture drawn as SVG, with nothing but strings?"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
INK, PALE, GRID = "#1f2933", "#6b7785", "#e4e8ec"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A logarithmic axis: from values to places."""

    least: float
    greatest: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        share = math.log(value / self.least) / math.log(self.greatest / self.least)
        return self.begin + share * (self.end - self.begin)

    @property
    def decades(self) -> list[float]:
        """The powers of ten on it."""
        powers = range(math.ceil(math.log10(self.least) - 1e-9), math.floor(math.log10(self.greatest) + 1e-9) + 1)
        return [10.0**power for power in powers]


def around(values: Iterable[float], begin: float, end: float) -> Scale:
    """A scale that holds all values and ends on powers of ten."""
    seen = list(values)
    least = 10.0 ** math.floor(math.log10(min(seen)))
    greatest = 10.0 ** math.ceil(math.log10(max(seen)))
    return Scale(least=least, greatest=max(greatest, least * 10), begin=begin, end=end)


def picture(width: int, height: int, parts: Iterable[str]) -> str:
    """A whole file."""
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{inner}\n</svg>\n'
    )


def text(at: Point, words: str, *, anchor: str = "start", colour: str = INK, bold: bool = False, size: int = 12) -> str:
    """Words at a place."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"{weight}>'
        f"{escape(words)}</text>"
    )


def line(begin: Point, end: Point, *, colour: str = GRID, width: float = 1, dashed: bool = False) -> str:
    """A straight line."""
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<line x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashes}/>'
    )


def path(points: Sequence[Point], *, colour: str, width: float, dashed: bool = False) -> str:
    """A line through points."""
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def band(corner: Point, width: float, height: float, *, colour: str) -> str:
    """A pale ground behind a row."""
    place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} fill="{colour}" opacity="0.09"/>'


def dot(at: Point, *, colour: str, radius: float = 4) -> str:
    """A point."""
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{colour}"/>'


def short(value: float) -> str:
    """A power of ten, as an axis names it."""
    if value >= 1000:
        return f"{value / 1000:g}k" if value < 1e6 else f"{value / 1e6:g}M"
    return f"{value:g}"
