"""Which hostnames the chart keeps ModelDeployments from taking."""

import json
import re
from typing import Any

import pytest
from support import chart

POLICY = "loadline-hostnames"


def _spec(*settings: str) -> dict[str, Any]:
    found = chart.find(chart.render(settings=settings), "ValidatingAdmissionPolicy", POLICY)
    spec: dict[str, Any] = found["spec"]
    return spec


def _kept(*settings: str) -> set[str]:
    """The hostnames that are refused by name."""
    variables = {variable["name"]: variable["expression"] for variable in _spec(*settings)["variables"]}
    (listed,) = re.findall(r"variables\.hostname in (\[.*?\])", variables["leadsToTheGateway"])
    return set(json.loads(listed))


def test_the_policy_is_in_force_for_every_writer_of_model_deployments() -> None:
    spec, binding = _spec(), chart.find(chart.render(), "ValidatingAdmissionPolicyBinding", POLICY)["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert binding == {"policyName": POLICY, "validationActions": ["Deny"]}
    assert spec["failurePolicy"] == "Fail"
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert rule["resources"] == ["modeldeployments"]
    assert not [found for found in spec["matchConditions"] if "userInfo" in found["expression"]]


def test_an_update_is_judged_only_where_it_changes_the_hostname() -> None:
    conditions = {found["name"]: found["expression"] for found in _spec()["matchConditions"]}
    hostname = "{}.?spec.?routing.?hostname.orValue('')"
    assert conditions == {
        "asks-for-a-hostname": f"{hostname.format('object')} != ''",
        "changes-its-hostname": "request.operation == 'CREATE' || "
        f"{hostname.format('object')} != {hostname.format('oldObject')}",
    }


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost:8080", "localhost"),
        ("https://Models.example.com:8443/base", "models.example.com"),
    ],
)
def test_the_host_that_callers_use_is_kept(url: str, host: str) -> None:
    assert host in _kept(f"gateway.publicUrl={url}")


def test_names_of_the_gateway_inside_the_cluster_are_kept_without_any_value() -> None:
    assert _kept() == {
        "localhost",
        "models.loadline.local",
        "loadline-gateway",
        "loadline-gateway.envoy-gateway-system",
    }
    assert "loadline-gateway.edge" in _kept("gateway.envoyNamespace=edge")


@pytest.mark.parametrize(
    ("hostname", "kept"),
    [
        ("loadline-gateway.envoy-gateway-system.svc", True),
        ("loadline-gateway.envoy-gateway-system.svc.cluster.local", True),
        ("models.localhost", True),
        ("10.96.0.1", True),
        ("svc.example.com", False),
        ("fraud.services.example.com", False),
        ("v2.example.com", False),
    ],
)
def test_names_of_services_and_addresses_are_kept_by_their_form(hostname: str, *, kept: bool) -> None:
    variables = {variable["name"]: variable["expression"] for variable in _spec()["variables"]}
    (pattern,) = re.findall(r"matches\('(.*)'\)", variables["leadsToTheGateway"])
    assert bool(re.search(pattern, hostname)) is kept


def test_the_domain_of_grpc_is_shared_out_by_namespace() -> None:
    variables = {variable["name"]: variable["expression"] for variable in _spec("grpcDomain=ml.corp")["variables"]}
    assert variables["domain"] == "'.' + request.namespace + '.' + 'ml.corp'"
    assert "endsWith('.ml.corp') && !variables.hostname.endsWith(variables.domain)" in variables["isAnotherNamespaces"]


def test_each_refusal_says_what_to_do() -> None:
    said = [found["messageExpression"] for found in _spec()["validations"]]
    assert [message for message in said if ": use a " not in message] == []
