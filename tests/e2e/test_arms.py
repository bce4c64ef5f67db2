"""A route's second arm comes and goes under load, and no request fails.

The product's own path: the spec alternates between two versions, so each turn warms a revision, lets it enter the
route at a millionth, shifts the traffic and takes the old arm out.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.cluster import Cluster
from support.inference import json_request
from support.load import STEADY, Count, Load, Stream, between
from support.model_deployments import Served
from support.phases import Phase, Timeline
from support.serving_models import ROWS, Registered

TURNS_SHORT, TURNS_LONG = 5, 50
SPEAKS_OF = ("operators", "serving", "charts", "platform/contracts")
PER_SECOND = {True: 400, False: 100}

Say = Callable[[str], None]


def turns(served: Served, model: Registered, number: int, timeline: Timeline, folder: Path) -> dict[str, Any]:
    """Alternate the version `number` times at 500 requests/s; return the counts."""
    streams = [
        Stream(
            name="kept" if keepalive else "fresh",
            url=served.url,
            body=json_request(ROWS),
            per_second=per_second,
            keepalive=keepalive,
        )
        for keepalive, per_second in PER_SECOND.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    load = Load(streams, folder, node=served.cluster.control_plane)
    with load:
        for turn in range(1, number + 1):
            with timeline.phase(f"arm added and removed, turn {turn}"):
                served.edit(model={"uri": model.version(turn % 2)})
                served.wait_until_ready()
    phases = timeline.phases[-number:]
    return {"turns": number, **{stream.name: _counts(load, stream, phases) for stream in streams}}


def _counts(load: Load, stream: Stream, phases: Sequence[Phase]) -> dict[str, Any]:
    """The raw counts of a stream, and whether its rate was held in every turn."""
    answers = load.answers(stream.name)
    return Count.of(answers).as_json() | {
        "share_sent": round(load.share_sent(stream, answers), 4),
        "turns_without_requests": sum(not between(answers, phase.start, phase.end) for phase in phases),
    }


def faults(done: Mapping[str, Any]) -> list[str]:
    """What speaks against a run: a failed request, a turn without requests, a stream behind its rate."""
    streams = {name: done[name] for name in ("kept", "fresh")}
    return [
        f"{name}: {count}"
        for name, count in streams.items()
        if count["failed"] or count["turns_without_requests"] or count["share_sent"] < STEADY
    ]


@pytest.fixture
def served(cluster: Cluster, gateway_url: str, model: Registered, namespace: str) -> Served:
    """Given a model of two replicas that answers."""
    found = Served(cluster=cluster, gateway_url=gateway_url, namespace=namespace, name="arms")
    return found.apply(model.version(0), replicas=2, retries=0).wait_until_ready().wait_until_it_answers()


def test_no_request_fails_while_an_arm_comes_and_goes(
    served: Served, model: Registered, timeline: Timeline, say: Say, tmp_path: Path
) -> None:
    done = turns(served, model, TURNS_SHORT, timeline, tmp_path)
    say(f"  {done}")
    assert not faults(done)


@pytest.mark.long
@pytest.mark.timeout(2 * 3600)
def test_no_request_fails_while_an_arm_comes_and_goes_fifty_times(
    served: Served, model: Registered, timeline: Timeline, record: Any, tmp_path: Path
) -> None:
    recording = record(
        "arms",
        claim="0 failed requests at 500 requests/s while an arm is added to and removed from a route 50 times.",
        runs=TURNS_LONG // TURNS_SHORT,
        paths=SPEAKS_OF,
    )
    for left in range(recording.runs_left, 0, -1):
        recording.add(turns(served, model, TURNS_SHORT, timeline, tmp_path / str(left)))
    assert not [fault for run in recording.result.runs for fault in faults(run)]
