import json
import re
from typing import Any

import httpx
import pytest
from loadline_contracts.crd import model_deployment_crd
from support.cluster import Cluster, CommandFailedError, Manifest

SHA = "a" * 64
DIGEST_IMAGE = f"registry.example.com/serving@sha256:{SHA}"


def md(name: str = "m", **spec: Any) -> Manifest:
    return {
        "apiVersion": "loadline.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"uri": "models:/digits/1"}} | spec,
    }


def dry_run(cluster: Cluster, manifest: Manifest, validation: str = "Strict") -> httpx.Response:
    """Ask the API server what it would make of an object, without the operator ever seeing it."""
    return cluster.api.post(
        "/apis/loadline.dev/v1alpha1/namespaces/default/modeldeployments",
        json=manifest,
        params={"dryRun": "All", "fieldValidation": validation},
    )


JWT = {"issuer": "https://i.example.com", "audiences": ["a"]}


def resources(requests: Manifest, limits: Manifest) -> Manifest:
    return md(pod={"resources": {"requests": requests, "limits": limits}})


def stands(toleration: Manifest) -> Manifest:
    return md(pod={"scheduling": {"tolerations": [toleration]}})


def on(operator: str, *values: str, wish: str = "required") -> Manifest:
    return md(pod={"scheduling": {"affinity": {wish: [{"key": "zone", "operator": operator, "values": list(values)}]}}})


ACCEPTED: dict[str, Manifest] = {
    "a registry version": md(model={"uri": "models:/digits/7"}),
    "a registry alias": md(model={"uri": "models:/digits@champion"}),
    "a file with its sha256": md(model={"uri": "https://example.com/m.onnx", "sha256": SHA}),
    "an object of a store with its sha256": md(model={"uri": "s3://bucket/m.onnx", "sha256": SHA}),
    "a number as a quantity": md(pod={"resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}}),
    "requests as large as limits, in another spelling": resources({"cpu": "1000m", "memory": "1024Mi"}, {"cpu": 1}),
    "a small request beside a limit with a larger unit": resources({"memory": "900Mi"}, {"memory": "1Gi"}),
    "a device": resources({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": "1"}),
    "a device that only limits name": resources({}, {"nvidia.com/gpu": 1}),
    "a model on a GPU": md(runtime={"device": "gpu"}),
    "no batching": md(runtime={"batching": {"maxRows": 1}}),
    "the longest wait for a batch": md(runtime={"batching": {"maxWait": "1000ms"}}),
    "a batch that fills the queue": md(runtime={"batching": {"maxRows": 4096}, "queue": {"maxRows": 4096}}),
    "no limit but the queue": md(runtime={"concurrency": {"mode": "unlimited"}}),
    "a deadline in two units": md(runtime={"timeout": "1m30s"}),
    "memory that is given back": md(runtime={"memoryArena": False, "memoryPattern": False, "ioBinding": True}),
    "every taint": stands({"operator": "Exists"}),
    "a taint for a while": stands({"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 60}),
    "a node in one of two zones": on("In", "a", "b"),
    "a node with a label": on("Exists"),
    "a node with more than a number": on("Gt", "4", wish="preferred"),
    "a secret reference": md(pod={"env": [{"name": "T", "secretKeyRef": {"name": "s", "key": "k"}}]}),
    "an image by digest": md(pod={"image": DIGEST_IMAGE}),
    "a time limit with a part that is zero": md(routing={"timeout": "0m30s"}),
    "tokens": md(access={"jwt": JWT | {"jwksUri": "https://i.example.com/keys"}}),
    "tokens whose keys a ConfigMap holds": md(access={"jwt": JWT | {"jwksConfigMap": {"name": "keys"}}}),
    "a name of fifty characters": md("a" * 50),
}

REFUSED: dict[str, tuple[Manifest, str]] = {
    "no model": ({**md(), "spec": {}}, "spec.model: Required value"),
    "a model URI of another kind": (md(model={"uri": "runs:/abc/model"}), "spec.model.uri"),
    "a version zero": (md(model={"uri": "models:/digits/0"}), "spec.model.uri"),
    "a file without sha256": (
        md(model={"uri": "https://example.com/m.onnx"}),
        "https:// and s3:// files, which need it",
    ),
    "a registry model with sha256": (md(model={"uri": "models:/digits/1", "sha256": SHA}), "a models:/ URI takes none"),
    "no replica": (md(replicas=0), "spec.replicas"),
    "a thousand and one replicas": (md(replicas=1001), "spec.replicas"),
    "a name too long for its children": (md("a" * 51), "at most 50 characters, so that the names of its children fit"),
    "a name that no Service can bear": (md("7up"), "beginning with a letter"),
    "an image by tag": (md(pod={"image": "serving:latest"}), "spec.pod.image"),
    "a duration without unit": (md(routing={"timeout": "30"}), "spec.routing.timeout"),
    "no time limit": (md(routing={"timeout": "0h0s"}), "longer than zero, which would mean no limit"),
    "two retries": (md(routing={"retries": 2}), "spec.routing.retries"),
    "a hostname with a wildcard": (md(routing={"hostname": "*.example.com"}), "spec.routing.hostname"),
    "a variable of the operator": (md(pod={"env": [{"name": "LOADLINE_X", "value": "1"}]}), "are set by the operator"),
    "a variable with two sources": (
        md(pod={"env": [{"name": "T", "value": "1", "secretKeyRef": {"name": "s", "key": "k"}}]}),
        "exactly one of value, secretKeyRef and configMapKeyRef",
    ),
    "a variable twice": (
        md(pod={"env": [{"name": "T", "value": "1"}, {"name": "T", "value": "2"}]}),
        "Duplicate value",
    ),
    "a label of ours": (md(pod={"labels": {"loadline.dev/x": "1"}}), "are set by the operator"),
    "a label key that is none": (md(pod={"labels": {"a b": "1"}}), "each key must match"),
    "a label key that is too long": (md(pod={"labels": {"a" * 318: "1"}}), "have at most 317 characters"),
    "more requested than allowed": (
        resources({"cpu": "2"}, {"cpu": "1500m"}),
        "requests must not be larger than limits",
    ),
    "more requested than allowed, in numbers": (resources({"cpu": 2}, {"cpu": 1}), "requests must not be larger than"),
    "a quantity that takes minutes to parse": (resources({"cpu": "1e999999999"}, {"cpu": 1}), "requests.cpu"),
    "more requested than allowed by default": (
        md(pod={"resources": {"requests": {"memory": "2Gi"}}}),
        "limits memory 1Gi",
    ),
    "less allowed than requested by default": (
        md(pod={"resources": {"limits": {"memory": "128Mi"}}}),
        "requests are cpu 250m and memory 256Mi",
    ),
    "a taint of any value with a value": (
        stands({"key": "a", "operator": "Exists", "value": "b"}),
        "operator Exists takes no value",
    ),
    "a taint of no key": (stands({"value": "b"}), "operator Equal needs a key"),
    "a taint that evicts nobody, for a while": (
        stands({"key": "a", "effect": "NoSchedule", "tolerationSeconds": 60}),
        "tolerationSeconds belongs to effect NoExecute",
    ),
    "a node in none of no zones": (on("NotIn"), "operators In and NotIn need at least one of values"),
    "a wish for a node in no zone": (on("In", wish="preferred"), "operators In and NotIn need at least one of values"),
    "a node with a label of some value": (on("Exists", "a"), "operators Exists and DoesNotExist take no values"),
    "a node without a label of some value": (on("DoesNotExist", "a"), "Exists and DoesNotExist take no values"),
    "a node with more than nothing": (on("Gt"), "operators Gt and Lt need exactly one of values, a whole number"),
    "a node with less than two numbers": (on("Lt", "1", "2"), "operators Gt and Lt need exactly one of values"),
    "a node with more than a word": (on("Gt", "many"), "operators Gt and Lt need exactly one of values"),
    "tokens without keys": (md(access={"jwt": JWT}), "exactly one of jwksUri and jwksConfigMap"),
    "a grace period too short to drain": (
        md(pod={"terminationGracePeriodSeconds": 1}),
        "terminationGracePeriodSeconds",
    ),
    "a device that limits do not name": (
        resources({"nvidia.com/gpu": 1}, {"memory": "1Gi"}),
        "a device such as nvidia.com/gpu is asked for in limits",
    ),
    "an unknown device": (md(runtime={"device": "tpu"}), "spec.runtime.device"),
    "batches of no row": (md(runtime={"batching": {"maxRows": 0}}), "spec.runtime.batching.maxRows"),
    "batches of too many rows": (md(runtime={"batching": {"maxRows": 4097}}), "spec.runtime.batching.maxRows"),
    "a wait for a batch without unit": (md(runtime={"batching": {"maxWait": "2"}}), "spec.runtime.batching.maxWait"),
    "a wait for a batch beyond a second": (md(runtime={"batching": {"maxWait": "1s1ms"}}), "must be at most 1s"),
    "a wait for a batch as long as the deadline": (
        md(runtime={"batching": {"maxWait": "5ms"}, "timeout": "5ms"}),
        "batching.maxWait must be shorter than timeout",
    ),
    "a queue for less than a batch": (
        md(runtime={"batching": {"maxRows": 65}, "queue": {"maxRows": 64}}),
        "queue.maxRows must not be smaller than batching.maxRows",
    ),
    "a queue for less than a batch by default": (
        md(runtime={"queue": {"maxRows": 63}}),
        "where left out, they are 4096 and 64",
    ),
    "a queue without a byte": (md(runtime={"queue": {"maxBytes": 0}}), "spec.runtime.queue.maxBytes"),
    "an unknown limit of concurrency": (
        md(runtime={"concurrency": {"mode": "fixed"}}),
        "spec.runtime.concurrency.mode",
    ),
    "no time to run": (md(runtime={"timeout": "0s"}), "must be longer than zero, as every run is"),
    "a deadline without unit": (md(runtime={"timeout": "30"}), "spec.runtime.timeout"),
    "an unknown graph level": (md(runtime={"graphOptimization": "most"}), "spec.runtime.graphOptimization"),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_api_server_accepts(cluster: Cluster, manifest: Manifest) -> None:
    answer = dry_run(cluster, manifest)

    assert answer.status_code == httpx.codes.CREATED, answer.text


@pytest.mark.parametrize(("manifest", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_the_api_server_refuses_and_says_why(cluster: Cluster, manifest: Manifest, words: str) -> None:
    answer = dry_run(cluster, manifest)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    assert words in answer.json()["message"]


def test_defaults_are_filled_in_by_the_api_server(cluster: Cluster) -> None:
    spec = dry_run(cluster, md(pod={}, routing={}, runtime={})).json()["spec"]

    assert spec["replicas"] == 1
    assert spec["routing"] == {"retries": 1, "timeout": "30s"}
    assert spec["runtime"] == {
        "device": "cpu",
        "threads": 1,
        "graphOptimization": "all",
        "memoryArena": True,
        "memoryPattern": True,
        "ioBinding": False,
        "maxRequestBytes": 33554432,
        "batching": {"maxRows": 64, "maxWait": "0s"},
        "queue": {"maxRows": 4096, "maxBytes": 268435456},
        "concurrency": {"mode": "adaptive"},
        "timeout": "30s",
        "logOneIn": 0,
    }
    assert spec["pod"]["terminationGracePeriodSeconds"] == 60
    assert spec["pod"]["resources"]["limits"] == {"memory": "1Gi"}


def test_the_defaults_of_the_api_server_are_those_of_the_contract(cluster: Cluster) -> None:
    bare = dry_run(cluster, md()).json()["spec"]
    spelled = model_deployment_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    wanted = {name: part["default"] for name, part in spelled["properties"].items() if "default" in part}

    assert {name: bare[name] for name in wanted} == wanted


def test_a_strict_client_learns_of_an_unknown_field_and_a_lax_one_is_warned(cluster: Cluster) -> None:
    manifest = md(replica=2)
    strict = dry_run(cluster, manifest)
    lax = dry_run(cluster, manifest, "Warn")

    assert strict.status_code == httpx.codes.BAD_REQUEST
    assert 'unknown field "spec.replica"' in strict.json()["message"]
    assert lax.status_code == httpx.codes.CREATED
    assert "unknown field" in lax.headers["warning"]
    assert "replica" not in lax.json()["spec"]


def test_a_key_set_is_named_by_its_config_map_and_takes_no_key(cluster: Cluster) -> None:
    answer = dry_run(cluster, md(access={"jwt": JWT | {"jwksConfigMap": {"name": "keys", "key": "mine"}}}))

    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert 'unknown field "spec.access.jwt.jwksConfigMap.key"' in answer.json()["message"]


def fields(schema: dict[str, Any], path: str) -> list[tuple[str, str]]:
    """Every field below a schema, with its description."""
    found = []
    for name, part in schema.get("properties", {}).items():
        found += [(f"{path}.{name}", part.get("description", "")), *fields(part, f"{path}.{name}")]
    return found + (fields(schema["items"], path) if "items" in schema else [])


def test_kubectl_explains_every_field(cluster: Cluster) -> None:
    root = model_deployment_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    wanted = fields(root["spec"], "spec") + fields(root["status"], "status")
    said = (
        "".join(
            cluster.kubectl("explain", f"modeldeployments.{path}")
            for path, _ in wanted
            if any(other.startswith(f"{path}.") for other, _ in wanted)
        )
        + cluster.kubectl("explain", "md.spec")
        + cluster.kubectl("explain", "md.status")
    )
    text = re.sub(r"\s+", " ", said)

    assert len(wanted) > 90
    assert [path for path, words in wanted if not words or re.sub(r"\s+", " ", words) not in text] == []


def test_status_and_scale_are_subresources_of_their_own(cluster: Cluster, namespace: str) -> None:
    manifest = md("scaled", model={"uri": "https://127.0.0.1:1/none.onnx", "sha256": SHA})
    manifest["metadata"]["namespace"] = namespace
    cluster.apply(manifest)
    cluster.kubectl("-n", namespace, "scale", "md/scaled", "--replicas=3")
    forged = cluster.patch("ModelDeployment", "scaled", namespace, {"status": {"servedVersion": "forged"}})

    assert cluster.must_get("ModelDeployment", "scaled", namespace)["spec"]["replicas"] == 3
    assert forged.get("status", {}).get("servedVersion", "") != "forged"


def test_kubectl_get_shows_what_a_person_asks_first(cluster: Cluster) -> None:
    header = cluster.api.get(
        "/apis/loadline.dev/v1alpha1/modeldeployments",
        headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
    ).json()["columnDefinitions"]
    shown = [column["name"] for column in header if column["priority"] == 0]

    assert shown == ["Name", "Model", "Ready", "Traffic", "Replicas", "URL", "Age"]


def test_kubectl_refuses_an_unknown_field_on_its_own(cluster: Cluster) -> None:
    with pytest.raises(CommandFailedError, match="replica"):
        cluster.kubectl("apply", "--dry-run=server", "-f", "-", given=json.dumps(md(replica=2)))
