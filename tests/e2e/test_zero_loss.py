"""No request fails at a steady load, whatever is changed, restarted, upgraded or drained meanwhile.

All disturbances happen under one load, one after another: 200 requests/s to a model of two replicas, 150 on kept
connections and 50 on fresh ones, and beside it 20 to a model of one replica; once with the gateway's retry and once
without. Failures belong to the phase in which the request was sent; those between phases are counted as well.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.cluster import Cluster
from support.disturbances import ALL, World
from support.inference import json_request
from support.load import STEADY, Answer, Count, Load, Stream, between, first_output
from support.mlflow_registry import Mlflow
from support.model_deployments import Served
from support.phases import Phase, Timeline, table
from support.serving_models import FACTORS, ROW_SUM, ROWS, register_pair

ROUNDS = 10
# Kept and fresh connections: a fresh one costs the machine several times what a kept one does.
PER_SECOND = {"pair": (150, 50), "single": (10, 10)}
RETRIES = {"retries-off": 0, "retries-on": 1}
OUTSIDE = "outside the disturbances"
RIGHT = {ROW_SUM * factor for factor in FACTORS}
SPEAKS_OF = ("operators", "serving", "charts", "platform/contracts", "tools/cluster")

Say = Callable[[str], None]


@pytest.fixture(scope="module", params=RETRIES)
def world(
    request: pytest.FixtureRequest, cluster: Cluster, gateway_url: str, mlflow: Mlflow, module_namespace: str
) -> Iterator[World]:
    """Given two models that follow one alias: one of two replicas, one of one."""
    model = register_pair(mlflow, "steady")

    def serve(name: str, replicas: int) -> Served:
        served = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name=name)
        # With the resources that pods have by default: a node that takes over must not starve them beside what starts.
        return served.apply(model.by_alias, replicas=replicas, retries=RETRIES[request.param], pod={})

    pair, single = serve("pair", 2), serve("single", 1)
    yield World(cluster=cluster, mlflow=mlflow, model=model, pair=pair, single=single)
    for served in (pair, single):
        cluster.delete("ModelDeployment", served.name, served.namespace)
        cluster.wait_until_gone("ModelDeployment", served.name, served.namespace, within=60)


def streams(world: World) -> list[Stream]:
    """Every model's load, by kept and by fresh connections."""
    return [
        Stream(
            name=f"{served.name}-{kind}",
            url=served.url,
            body=json_request(ROWS),
            per_second=per_second,
            keepalive=kind == "kept",
        )
        for served in world.all
        for kind, per_second in zip(("kept", "fresh"), PER_SECOND[served.name], strict=True)
    ]


def one_round(world: World, say: Say, folder: Path) -> dict[str, Any]:
    """Let everything happen once under load; return the counts of every phase and stream."""
    folder.mkdir(parents=True, exist_ok=True)
    for served in world.all:
        served.wait_until_ready().wait_until_it_answers()
    timeline = Timeline(say=say)
    load = Load(streams(world), folder, node=world.cluster.control_plane)
    with load:
        for disturbance in ALL:
            with timeline.phase(disturbance.name):
                disturbance.happens(world)
    answers = {stream.name: load.answers(stream.name) for stream in streams(world)}
    rows = _rows(timeline.phases, answers)
    say(_table(rows))
    return {
        "rows": rows,
        "share_sent": {s.name: round(load.share_sent(s, answers[s.name]), 4) for s in streams(world)},
        "wrong_answers": sum(map(_wrong, answers.values())),
    }


def _rows(phases: Sequence[Phase], answers: Mapping[str, Sequence[Answer]]) -> list[dict[str, Any]]:
    """A row for each phase, and one for whatever was sent in none of them."""
    during = [
        {"disturbance": phase.name, "seconds": round(phase.seconds, 1), "cpu_stalled": f"{phase.stalled:.0%}"}
        | _counted({name: between(seen, phase.start, phase.end) for name, seen in answers.items()})
        for phase in phases
    ]
    rest = {name: _outside(seen, phases) for name, seen in answers.items()}
    return [*during, {"disturbance": OUTSIDE, "seconds": "", "cpu_stalled": ""} | _counted(rest)]


def _counted(answers: Mapping[str, Sequence[Answer]]) -> dict[str, Any]:
    counts = {name: Count.of(seen) for name, seen in answers.items()}
    return {
        **{name: count.told for name, count in counts.items()},
        "slowest_s": round(max(count.slowest for count in counts.values()), 2),
    }


def _outside(answers: Sequence[Answer], phases: Sequence[Phase]) -> list[Answer]:
    return [a for a in answers if not any(phase.start <= a.sent_at < phase.end for phase in phases)]


def _wrong(answers: Sequence[Answer]) -> int:
    return sum(1 for answer in answers if not answer.failed and first_output(answer) not in RIGHT)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    return table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])


def faults(done: Mapping[str, Any]) -> list[str]:
    """What speaks against a round: failed and wrong answers, a phase without requests, a stream behind its rate."""
    cells = [
        (row["disturbance"], name, str(cell))
        for row in done["rows"]
        for name, cell in row.items()
        if name.startswith(tuple(PER_SECOND))
    ]
    failed = [f"{where}, {name}: {cell}" for where, name, cell in cells if not cell.startswith("0/")]
    idle = [f"{where}, {name}: nothing sent" for where, name, cell in cells if cell == "0/0" and where != OUTSIDE]
    behind = [f"{name}: {share:.1%} of its rate" for name, share in done["share_sent"].items() if share < STEADY]
    wrong = [f"wrong answers: {done['wrong_answers']}"] if done["wrong_answers"] else []
    return [*failed, *idle, *behind, *wrong]


def test_no_request_fails_through_any_disturbance(world: World, say: Say, tmp_path: Path) -> None:
    assert not faults(one_round(world, say, tmp_path))


@pytest.mark.long
@pytest.mark.timeout(2 * 3600)
def test_no_request_fails_through_ten_rounds(
    world: World, request: pytest.FixtureRequest, say: Say, tmp_path: Path, record: Any
) -> None:
    retries = request.node.callspec.params["world"]
    recording = record(
        f"zero-loss-{retries}",
        claim=f"0 failed requests at 200 requests/s of POST infer with two replicas (and at 20 with one), {retries}.",
        runs=ROUNDS,
        paths=SPEAKS_OF,
    )
    for left in range(recording.runs_left, 0, -1):
        recording.add(one_round(world, say, tmp_path / str(left)))
    assert not [fault for run in recording.result.runs for fault in faults(run)]
