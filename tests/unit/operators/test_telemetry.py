"""Claims about logs, metrics, probes and settings."""

import asyncio
import json
import logging

import httpx
import pytest
import structlog
from aiohttp import web
from loadline_contracts import metrics
from loadline_operators.health import LONGEST_LAG, Health, Pulse, serve
from loadline_operators.settings import Settings
from loadline_operators.telemetry import configure_logging
from prometheus_client import REGISTRY
from support.virtual_time import run as run_virtually


def test_every_log_line_is_json_with_its_keys_ours_and_others(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        configure_logging("INFO")
        structlog.get_logger("loadline").info("Promoted", model="md", weight=50)
        logging.getLogger("kopf").warning("Watching %s", "pods")
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["model"], ours["weight"], ours["level"]) == ("Promoted", "md", 50, "info")
    assert (theirs["event"], theirs["level"]) == ("Watching pods", "warning")


def test_every_metric_is_one_of_the_contract_and_says_what_it_is() -> None:
    ours = [metric for metric in REGISTRY.collect() if metric.name.startswith("loadline_")]
    promised = [
        value for name, value in vars(metrics).items() if name.startswith("OPERATOR_") and isinstance(value, str)
    ]
    # A counter's `_total` belongs to what is exposed, not to prometheus_client's name for it.
    assert {metric.name for metric in ours} == {name.removesuffix("_total") for name in promised}
    assert all(metric.documentation.endswith(".") for metric in ours)


def health(
    *, lag: float = 0.0, wait: float = 0.0, silence: float = 0.0, stale: tuple[str, ...] = (), synced: bool = True
) -> Health:
    return Health(
        pulse=Pulse(lag=lag),
        queue_wait=lambda: wait,
        lease_silence=lambda: silence,
        stale_kinds=lambda: stale,
        is_synced=lambda: synced,
    )


@pytest.mark.parametrize(
    ("sick", "said"),
    [
        (health(), ""),
        (health(lag=LONGEST_LAG + 1), "the event loop runs 11.0 s late"),
        (health(wait=121), "an object has waited 121 s for a look"),
        (health(silence=61), "the lease was not looked at for 61 s"),
        (health(stale=("Pod", "Node")), "the watch of Pod, Node misses changes"),
    ],
)
def test_a_sick_process_says_what_it_suffers_from(sick: Health, said: str) -> None:
    assert sick.sickness() == said


def test_a_standby_that_has_listed_everything_is_ready_and_one_that_has_not_is_alive_only() -> None:
    async def ask(app: web.Application) -> list[tuple[int, str]]:
        end = await serve(app, 18081)
        async with httpx.AsyncClient(base_url="http://127.0.0.1:18081", trust_env=False) as client:
            answers = [await client.get(path) for path in ("/livez", "/readyz")]
        await end()
        return [(answer.status_code, answer.text) for answer in answers]

    assert asyncio.run(ask(health().app())) == [(200, "alive"), (200, "ready")]
    assert asyncio.run(ask(health(synced=False).app())) == [(200, "alive"), (503, "listing")]
    assert asyncio.run(ask(health(wait=500).app()))[0][0] == 503


def test_a_loop_that_runs_on_time_shows_no_lag() -> None:
    pulse = Pulse()

    async def scene() -> None:
        beating = asyncio.create_task(pulse.beat())
        await asyncio.sleep(3.5)
        beating.cancel()

    run_virtually(scene())
    assert pulse.lag == pytest.approx(0.0)


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_WATCH_NAMESPACES", "a, b")
    monkeypatch.setenv("LOADLINE_STORE_READER_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("LOADLINE_MODEL_EXTRA_EGRESS", '[{"ports": [{"port": 988}]}]')
    settings = Settings()
    assert settings.watch_namespaces == ("a", "b")
    assert settings.model_extra_egress == ({"ports": [{"port": 988}]},)
    assert "hush" not in repr(settings)
    monkeypatch.setenv("LOADLINE_WATCH_NAMESPACES", "")
    assert Settings().watch_namespaces == ()
