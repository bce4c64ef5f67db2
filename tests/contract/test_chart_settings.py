"""Whether the chart and the operator agree on what the operator is told."""

import re
from typing import Any

import pytest
from loadline_operators.settings import Settings
from support import chart
from support.chart import render

OPTIONAL = {
    # Ports that the chart's probes and Service name; deadlines that have one good default.
    "metrics_port",
    "health_port",
    "workers",
    "drain_grace_seconds",
    "progress_deadline_seconds",
    "surge_deadline_seconds",
}


def _told(values: str = "", settings: tuple[str, ...] = ()) -> dict[str, Any]:
    operator = chart.find(render(values=values, settings=settings), "Deployment", "loadline-operator")
    return {
        e["name"]: e.get("value", "from-elsewhere")
        for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]
    }


@pytest.mark.parametrize("values", ["", *chart.VALUES])
def test_the_operator_reads_every_setting_that_the_chart_writes(values: str) -> None:
    names = {name.removeprefix("LOADLINE_").lower() for name in _told(values) if name.startswith("LOADLINE_")}
    assert names <= set(Settings.model_fields)


def test_the_chart_writes_every_setting_that_an_installation_may_need() -> None:
    settings = (
        "mlflow.externalUrl=https://mlflow.example.com",
        "mlflow.externalSecret=registry",
        "modelFiles.s3.existingSecret=files",
        "modelFiles.caBundle=company-ca",
    )
    names = {name.removeprefix("LOADLINE_").lower() for name in _told(settings=settings)}
    assert set(Settings.model_fields) - names == OPTIONAL


@pytest.mark.parametrize("values", ["", *chart.VALUES])
def test_what_the_chart_writes_is_valid(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _told(values).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.lease_name == "loadline-operator"
    assert settings.max_model_bytes == 20 << 30
    assert settings.store_own is (values != "external")
    assert settings.model_extra_egress == ()
    assert re.fullmatch(r"docker\.io/loadline/serving:.+", settings.serving_image)
