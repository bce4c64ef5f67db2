"""Do pods hear how to execute and how to protect themselves, and do they get the device for it?"""

from dataclasses import replace
from typing import Any

import pytest
from loadline_contracts.conditions import Reason
from loadline_contracts.modeldeployment import Condition, Runtime
from loadline_operators.modeldeployment.children import runtime_environment
from loadline_operators.modeldeployment.plan import plan
from loadline_operators.planning import Observed, Plan, PlanSettings
from support.worlds import NOW, SETTINGS, parent, resolved, settled

CUDA = "docker.io/loadline/serving-gpu:dev"
WITH_CUDA = replace(SETTINGS, serving_gpu_image=CUDA)
OWN = f"registry.example.com/mine@sha256:{'0' * 64}"

# What the runtime reads, and the values that a spec without a word about them stands for.
DEFAULTS = {
    "LOADLINE_DEVICE": "cpu",
    "LOADLINE_MEMORY_ARENA": "true",
    "LOADLINE_MEMORY_PATTERN": "true",
    "LOADLINE_IO_BINDING": "false",
    "LOADLINE_BATCH_ROWS": "64",
    "LOADLINE_BATCH_WAIT_SECONDS": "0.0",
    "LOADLINE_QUEUE_ROWS": "4096",
    "LOADLINE_QUEUE_BYTES": "268435456",
    "LOADLINE_CONCURRENCY": "adaptive",
    "LOADLINE_REQUEST_TIMEOUT_SECONDS": "30.0",
    "LOADLINE_LOG_ONE_IN": "0",
}
# One field of the spec each, and what the pod then hears.
CHOICES: dict[str, tuple[dict[str, Any], str]] = {
    "LOADLINE_DEVICE": ({"device": "gpu"}, "gpu"),
    "LOADLINE_MEMORY_ARENA": ({"memoryArena": False}, "false"),
    "LOADLINE_MEMORY_PATTERN": ({"memoryPattern": False}, "false"),
    "LOADLINE_IO_BINDING": ({"ioBinding": True}, "true"),
    "LOADLINE_BATCH_ROWS": ({"batching": {"maxRows": 1}}, "1"),
    "LOADLINE_BATCH_WAIT_SECONDS": ({"batching": {"maxWait": "2ms"}}, "0.002"),
    "LOADLINE_QUEUE_ROWS": ({"queue": {"maxRows": 100}}, "100"),
    "LOADLINE_QUEUE_BYTES": ({"queue": {"maxBytes": 1024}}, "1024"),
    "LOADLINE_CONCURRENCY": ({"concurrency": {"mode": "unlimited"}}, "unlimited"),
    "LOADLINE_REQUEST_TIMEOUT_SECONDS": ({"timeout": "1m500ms"}, "60.5"),
    "LOADLINE_LOG_ONE_IN": ({"logOneIn": 100}, "100"),
}


def planned(settings: PlanSettings = WITH_CUDA, **spec: Any) -> Plan:
    return plan(parent(**spec), Observed(resolution=resolved()), settings=settings, now=NOW)


def serving(made: Plan) -> dict[str, Any]:
    (deployment,) = (child for child in made.children if child["kind"] == "Deployment")
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def told(made: Plan) -> dict[str, str]:
    """What the pod hears of execution and load control."""
    return {entry["name"]: entry["value"] for entry in serving(made)["env"] if entry["name"] in DEFAULTS}


def limits(made: Plan) -> dict[str, str]:
    found: dict[str, str] = serving(made)["resources"]["limits"]
    return found


def condition(made: Plan, kind: str) -> Condition:
    return next(condition for condition in made.status.conditions if condition.type == kind)


def test_the_defaults_are_those_that_the_image_has() -> None:
    assert runtime_environment(Runtime()) == DEFAULTS


def test_pods_hear_nothing_of_what_the_object_leaves_at_its_default() -> None:
    spelled = Runtime().model_dump(by_alias=True) | {"timeout": "30000ms"}

    assert told(planned(runtime={})) == {}
    assert told(planned(runtime=spelled)) == {}


@pytest.mark.parametrize("variable", DEFAULTS)
def test_pods_hear_what_the_object_chooses(variable: str) -> None:
    runtime, heard = CHOICES[variable]

    assert told(planned(runtime=runtime)) == {variable: heard}


def test_a_model_on_the_cpu_runs_on_the_usual_image_and_asks_for_no_gpu() -> None:
    made = planned(runtime={"device": "cpu"})

    assert serving(made)["image"] == SETTINGS.serving_image
    assert limits(made) == {"memory": "1Gi"}


def test_a_model_on_a_gpu_runs_on_the_image_with_cuda_and_asks_for_one_gpu() -> None:
    made = planned(runtime={"device": "gpu"})

    assert serving(made)["image"] == CUDA
    assert limits(made) == {"memory": "1Gi", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb"])
def test_a_model_that_names_its_gpus_itself_gets_those_and_no_other(resource: str) -> None:
    made = planned(runtime={"device": "gpu"}, pod={"resources": {"limits": {"memory": "8Gi", resource: 2}}})

    assert limits(made) == {"memory": "8Gi", resource: "2"}


def test_without_an_image_for_gpus_an_object_that_needs_it_hears_which_value_to_set() -> None:
    made = planned(SETTINGS, runtime={"device": "gpu"})
    degraded = condition(made, "Degraded")

    assert made.children == ()
    assert (degraded.status, degraded.reason) == ("True", Reason.GPU_IMAGE_MISSING)
    assert "images.servingGpu" in degraded.message
    assert (condition(made, "Ready").status, condition(made, "Ready").reason) == ("False", Reason.GPU_IMAGE_MISSING)


def test_without_an_image_for_gpus_the_last_good_revision_keeps_serving() -> None:
    subject, world = settled(parent(), resolved())
    runtime = subject.spec.runtime.model_copy(update={"device": "gpu"})
    wishes = subject.model_copy(update={"spec": subject.spec.model_copy(update={"runtime": runtime})})
    made = plan(wishes, world, settings=SETTINGS, now=NOW)

    assert made.children == plan(subject, world, settings=SETTINGS, now=NOW).children
    assert "keeps serving" in condition(made, "Degraded").message
    assert condition(made, "Serving").status == "True"


def test_an_image_of_the_objects_own_needs_none_for_gpus() -> None:
    made = planned(SETTINGS, runtime={"device": "gpu"}, pod={"image": OWN})

    assert serving(made)["image"] == OWN
    assert limits(made)["nvidia.com/gpu"] == "1"


def test_the_gateway_tries_nothing_again_that_a_pod_refused() -> None:
    (policy,) = (child for child in planned().children if child["kind"] == "BackendTrafficPolicy")
    retry, passive = policy["spec"]["retry"], policy["spec"]["healthCheck"]["passive"]

    assert retry["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}
    assert (passive["consecutive5XxErrors"], passive["consecutiveGatewayErrors"]) == (0, 0)
