"""Which bars does the runtime have to clear, and does it?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from loadline_bench import models, peers
from loadline_bench.cells import CONCURRENCIES
from loadline_bench.peers import Encoding
from loadline_bench.telling.results import Figure, Place, Results, Spread

NOISE = 1.3
"""Ratios below it are told and not asserted: the rounds themselves lie as far apart."""
AT = 8
"""The concurrency of most bars."""
BATCHING_AT = 64
JSON, BINARY, GRPC = Encoding.JSON, Encoding.BINARY, Encoding.GRPC


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One figure of a server, divided by one of another within a round, and the least that it shall be."""

    claim: str
    above: Place
    below: Place
    figure: Figure = "cpu_us"
    least: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A bar, and what was measured."""

    bar: Bar
    spread: Spread | None

    @property
    def word(self) -> Literal["held", "missed", "not measured"]:
        """Whether the median clears the bar."""
        if self.spread is None:
            return "not measured"
        return "held" if self.spread.median >= self.bar.least else "missed"

    @property
    def asserted(self) -> bool:
        """Whether the ratio is large enough to be sure of."""
        return self.spread is not None and self.spread.median >= NOISE


LEAST: Mapping[tuple[str, Encoding], Mapping[str, float]] = {
    ("fastapi", JSON): {"tabular": 3.5, "mlp": 2.2, "conv": 3.5},
    ("mlserver", JSON): {"tabular": 6, "mlp": 4},
    ("kserve", JSON): {"tabular": 8, "mlp": 6, "conv": 3},
    ("bentoml", JSON): {"tabular": 8, "mlp": 8},
    ("litserve", JSON): {"tabular": 8, "mlp": 8},
    ("mlflow", JSON): {"tabular": 8, "mlp": 8},
    ("pytriton", BINARY): {"tabular": 8, "mlp": 5, "conv": 1.8},
    ("grpc", GRPC): dict.fromkeys(models.BY_NAME, round(1 / 1.1, 3)),
}
"""How many times as much processor time as ours a request costs, at the least, like for like."""
SHARE = {"tabular": 0.15, "mlp": 0.40, "conv": 0.80}
"""The share of a request's processor time, over binary tensors, in which the model itself runs."""
TIMES_UNBATCHED = 3.0


def judge(results: Results) -> list[Verdict]:
    """Every bar, in the order in which it is told."""
    return [_judged(results, bar) for bar in (*_named(), *_batching(), *_share())]


def ahead(results: Results) -> list[Verdict]:
    """Each cell of each peer, against ours in the same encoding."""
    return [_judged(results, bar) for bar in _everywhere()]


def _judged(results: Results, bar: Bar) -> Verdict:
    return Verdict(bar=bar, spread=results.ratio(bar.above, bar.below, bar.figure))


def _named() -> Iterator[Bar]:
    for (peer, encoding), least in LEAST.items():
        for model, times in least.items():
            yield _cost(model, peer, encoding, AT, times)


def _everywhere() -> Iterator[Bar]:
    floor = peers.GRPC.name
    for peer in peers.PEERS:
        if peer in (*peers.OURS, peers.RAW) or peer.name == floor:
            continue
        for encoding in peer.encodings:
            for model in models.BY_NAME:
                for concurrency in CONCURRENCIES:
                    yield _cost(model, peer.name, encoding, concurrency, 1.0)


def _cost(model: str, peer: str, encoding: Encoding, concurrency: int, least: float) -> Bar:
    return Bar(
        claim=f"{peers.BY_NAME[peer].title}, {encoding.told}, {model}, {concurrency} connections: CPU ÷ ours",
        above=Place(model, peer, encoding, concurrency),
        below=_ours(model, encoding, concurrency),
        least=least,
    )


def _batching() -> Iterator[Bar]:
    for encoding in (JSON, BINARY, GRPC):
        with_it = _ours("mlp", encoding, BATCHING_AT)
        without = with_it._replace(peer=peers.UNBATCHED.name)
        said = f"{encoding.told}, mlp, {BATCHING_AT} connections"
        yield Bar(
            claim=f"Micro-batching, {said}: requests ÷ unbatched",
            above=with_it,
            below=without,
            figure="rate",
            least=TIMES_UNBATCHED,
        )
        yield Bar(
            claim=f"Micro-batching, {said}: unbatched p99 ÷ p99",
            above=without,
            below=with_it,
            figure="p99_ms",
            least=1.0,
        )


def _share() -> Iterator[Bar]:
    for model, share in SHARE.items():
        yield Bar(
            claim=f"session.run alone, {model}: CPU ÷ ours over binary, {AT} connections",
            above=Place(model, peers.RAW.name, Encoding.NONE, 1),
            below=_ours(model, BINARY, AT),
            least=share,
        )


def _ours(model: str, encoding: Encoding, concurrency: int) -> Place:
    return Place(model, peers.LOADLINE.name, encoding, concurrency)
