"""Which pictures show what was measured?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadline_bench import models, peers
from loadline_bench.cells import CONCURRENCIES
from loadline_bench.models import Model
from loadline_bench.peers import Encoding, Peer
from loadline_bench.telling import bars, svg
from loadline_bench.telling.page import PLOTS
from loadline_bench.telling.results import Figure, Place, Results, Spread
from loadline_bench.telling.svg import Scale, around

ENCODINGS: Mapping[Encoding, str] = {Encoding.JSON: "#c2570c", Encoding.BINARY: "#0b61a4", Encoding.GRPC: "#3d8b40"}
COLOURS: Mapping[str, str] = {
    "loadline": "#0b61a4",
    "loadline-unbatched": "#6aaede",
    "fastapi": "#c2570c",
    "grpc": "#3d8b40",
    "mlserver": "#8e44ad",
    "kserve": "#b8860b",
    "bentoml": "#d1495b",
    "litserve": "#00798c",
    "mlflow": "#7a6f5d",
    "pytriton": "#5f6caf",
}
SERVERS: Sequence[Peer] = tuple(peer for peer in peers.PEERS if peer is not peers.RAW)
_ROW, _LEFT, _TOP, _WIDE, _GAP = 24, 150, 64, 250, 44


def draw(results: Results) -> dict[str, str]:
    """Each picture, by the name of its file."""
    cpu, as_json, as_tensors = (plot.file for plot in PLOTS)
    return {
        cpu: processor_time(results),
        as_json: by_concurrency(results, (Encoding.JSON,)),
        as_tensors: by_concurrency(results, (Encoding.BINARY, Encoding.GRPC)),
    }


def processor_time(results: Results) -> str:
    """One row for each server, one panel for each model, one dot for each encoding."""
    servers = [peer for peer in SERVERS if any(place.peer == peer.name for place in results.places())]
    bottom = _TOP + _ROW * len(servers)
    width, height = _LEFT + len(models.MODELS) * (_WIDE + _GAP), bottom + 44
    parts = [svg.text((12, 24), f"Processor time of one request, {bars.AT} connections, µs", bold=True, size=14)]
    parts += _legend_of_encodings(width)
    for row, peer in enumerate(servers):
        middle = _TOP + _ROW * (row + 0.5)
        parts.append(svg.text((_LEFT - 12, middle + 4), peer.title, anchor="end", bold=peer is peers.LOADLINE))
    for column, model in enumerate(models.MODELS):
        parts += _costs(results, model, servers, _LEFT + column * (_WIDE + _GAP), bottom)
    note = "Lines: least to greatest of the rounds. Dashes: the model alone, without a server."
    parts.append(svg.text((12, height - 10), note, colour=svg.PALE, size=11))
    return svg.picture(width, height, parts)


def _costs(results: Results, model: Model, servers: Sequence[Peer], left: float, bottom: float) -> Iterator[str]:
    spreads = {
        (peer.name, encoding): spread
        for peer in servers
        for encoding in peer.encodings
        if (spread := results.spread(Place(model.name, peer.name, encoding, bars.AT), "cpu_us"))
    }
    alone = results.spread(Place(model.name, peers.RAW.name, Encoding.NONE, 1), "cpu_us")
    yield svg.text((left, _TOP - 10), model.name, bold=True)
    if not spreads:
        return
    ends = [value for each in (*spreads.values(), *([alone] if alone else [])) for value in (each.low, each.high)]
    scale = around(ends, left, left + _WIDE)
    for decade in scale.decades:
        yield svg.line((scale(decade), _TOP), (scale(decade), bottom))
        yield svg.text((scale(decade), bottom + 15), svg.short(decade), anchor="middle", colour=svg.PALE, size=11)
    if alone:
        place = scale(alone.median)
        yield svg.line((place, _TOP), (place, bottom), colour=svg.PALE, dashed=True)
    for row, peer in enumerate(servers):
        middle = _TOP + _ROW * (row + 0.5)
        if peer is peers.LOADLINE:
            yield svg.band((left, middle - _ROW / 2), _WIDE, _ROW, colour=COLOURS[peer.name])
        for encoding in peer.encodings:
            if spread := spreads.get((peer.name, encoding)):
                yield from _dot_with_range(scale, spread, middle, ENCODINGS[encoding])


def _dot_with_range(scale: Scale, spread: Spread, middle: float, colour: str) -> Iterator[str]:
    yield svg.line((scale(spread.low), middle), (scale(spread.high), middle), colour=colour, width=2)
    yield svg.dot((scale(spread.median), middle), colour=colour)


def _legend_of_encodings(width: float) -> Iterator[str]:
    for place, (encoding, colour) in enumerate(ENCODINGS.items()):
        left = width - 250 + place * 74
        yield svg.dot((left, 20), colour=colour)
        yield svg.text((left + 9, 24), encoding.told)


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """A place for one figure of one model."""

    figure: Figure
    title: str
    left: float
    top: float
    height: float = 190

    @property
    def bottom(self) -> float:
        return self.top + self.height


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One server in one encoding."""

    peer: Peer
    encoding: Encoding

    @property
    def dashed(self) -> bool:
        return self.encoding is Encoding.GRPC

    @property
    def width(self) -> float:
        return 3 if self.peer is peers.LOADLINE else 1.6


def by_concurrency(results: Results, encodings: Sequence[Encoding]) -> str:
    """Requests a second above, p99 below, one column for each model."""
    known = {place[1:3] for place in results.places()}
    curves = [
        _Curve(peer=peer, encoding=encoding)
        for encoding in encodings
        for peer in SERVERS
        if (peer.name, encoding) in known
    ]
    left, width = 56, 56 + len(models.MODELS) * (_WIDE + 48)
    under = 64 + 2 * 236
    height = under + 12 + 20 * -(-len(curves) // 5)
    named = " and ".join(encoding.told for encoding in encodings)
    parts = [svg.text((12, 24), f"Requests a second and p99, by connections, {named}", bold=True, size=14)]
    for column, model in enumerate(models.MODELS):
        place = left + column * (_WIDE + 48)
        for panel in (
            _Panel(figure="rate", title=f"{model.name}: requests/s", left=place, top=64),
            _Panel(figure="p99_ms", title=f"{model.name}: p99, ms", left=place, top=64 + 236),
        ):
            parts += _curves(results, model, curves, panel)
    parts += _legend_of_curves(curves, under + 8, (width - 24) / 5, encodings)
    return svg.picture(width, height, parts)


def _curves(results: Results, model: Model, curves: Sequence[_Curve], panel: _Panel) -> Iterator[str]:
    yield svg.text((panel.left, panel.top - 10), panel.title, bold=True)
    seen = [
        (curve, points)
        for curve in curves
        if (points := _points(results, Place(model.name, curve.peer.name, curve.encoding, 0), panel.figure))
    ]
    if not seen:
        return
    up = around([value for _, points in seen for value in points.values()], panel.bottom, panel.top)
    along = Scale(least=0.8, greatest=80, begin=panel.left, end=panel.left + _WIDE)
    for decade in up.decades:
        yield svg.line((panel.left, up(decade)), (panel.left + _WIDE, up(decade)))
        yield svg.text((panel.left - 6, up(decade) + 4), svg.short(decade), anchor="end", colour=svg.PALE, size=11)
    for number in CONCURRENCIES:
        yield svg.text((along(number), panel.bottom + 15), str(number), anchor="middle", colour=svg.PALE, size=11)
    for curve, points in reversed(seen):
        colour = COLOURS[curve.peer.name]
        places = [(along(number), up(value)) for number, value in points.items()]
        yield svg.path(places, colour=colour, width=curve.width, dashed=curve.dashed)
        yield from (svg.dot(place, colour=colour, radius=3) for place in places)


def _points(results: Results, place: Place, figure: Figure) -> dict[int, float]:
    spreads = {number: results.spread(place._replace(concurrency=number), figure) for number in CONCURRENCIES}
    return {number: spread.median for number, spread in spreads.items() if spread and spread.median > 0}


def _legend_of_curves(
    curves: Sequence[_Curve], top: float, step: float, encodings: Sequence[Encoding]
) -> Iterator[str]:
    for place, curve in enumerate(curves):
        left, middle = 12 + place % 5 * step, top + place // 5 * 20
        words = curve.peer.title + (f", {curve.encoding.told}" if len(encodings) > 1 else "")
        colour = COLOURS[curve.peer.name]
        yield svg.path([(left, middle), (left + 22, middle)], colour=colour, width=curve.width, dashed=curve.dashed)
        yield svg.text((left + 28, middle + 4), words, bold=curve.peer is peers.LOADLINE, size=11)
