"""What a user gets for bad input: the cause and the remedy in words, and a model that goes on answering.

Every case has an object of its own that was Ready before; all of them are spoiled at once and then looked at one by
one. A neighbour is asked all the while.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import obstore
import pytest
from support import manifests, names, onnx_models, release
from support.cluster import Cluster
from support.inference import ask, json_request
from support.load import Count, Load, Stream
from support.mlflow_registry import Mlflow
from support.model_deployments import Served
from support.serving_models import ROWS, Registered, register_pair
from support.store import object_store
from support.waiting import wait_for

ONNX = onnx_models.linear(1.0)
HUGE = {"requests": {"cpu": "50m", "memory": "900Gi"}, "limits": {"memory": "900Gi"}}
PICKLED = {
    "MLmodel": b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.7.0\n",
    "model.pkl": b"\x80\x04N.",
}
PLAIN_FILE = "plain/test.onnx"
HOSTNAME = "wanted.example.test"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to spoil an object, and what its status must then say."""

    name: str
    spec: Callable[["Bad"], Mapping[str, Any]]
    reason: str
    says: Callable[["Bad"], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """Models that are wrong, each in its own way."""

    good: Registered
    missing: str
    not_onnx: str
    truncated: str
    unknown_operator: str
    pickled: str
    plain_file: str

    @classmethod
    def registered(cls, mlflow: Mlflow, good: Registered, plain_file: str) -> "Bad":
        """Register what can be registered."""
        files: Mapping[str, Mapping[str, bytes] | bytes] = {
            "not-onnx": b"PK\x03\x04 this is an archive",
            "truncated": ONNX[: len(ONNX) // 2],
            "unknown-operator": onnx_models.with_unknown_operator(),
            "pickled": PICKLED,
        }
        uris = {kind: _registered(mlflow, f"{good.name}-{kind}", held) for kind, held in files.items()}
        return cls(
            good=good,
            missing=f"{good.name}-missing",
            not_onnx=uris["not-onnx"],
            truncated=uris["truncated"],
            unknown_operator=uris["unknown-operator"],
            pickled=uris["pickled"],
            plain_file=plain_file,
        )


def _registered(mlflow: Mlflow, name: str, files: Mapping[str, bytes] | bytes) -> str:
    return f"models:/{name}/{mlflow.register(name, files)}"


def _uri(uri: str) -> Mapping[str, Any]:
    return {"model": {"uri": uri}}


CASES = (
    Case(
        name="no-model",
        spec=lambda bad: _uri(f"models:/{bad.missing}/1"),
        reason="ModelNotFound",
        says=lambda bad: (bad.missing, "register it, or correct spec.model.uri"),
    ),
    Case(
        name="no-version",
        spec=lambda bad: _uri(f"models:/{bad.good.name}/99"),
        reason="VersionNotFound",
        says=lambda bad: (bad.good.name, "99", "register it, or correct spec.model.uri"),
    ),
    Case(
        name="no-alias",
        spec=lambda bad: _uri(f"models:/{bad.good.name}@nobody"),
        reason="AliasNotFound",
        says=lambda bad: (bad.good.name, "nobody", "set the alias on a version"),
    ),
    Case(
        name="not-onnx",
        spec=lambda bad: _uri(bad.not_onnx),
        reason="NotOnnx",
        says=lambda _: ("not an ONNX model", "Register the model as ONNX"),
    ),
    Case(
        name="truncated",
        spec=lambda bad: _uri(bad.truncated),
        reason="NotOnnx",
        says=lambda _: ("cut short", "Register the model as ONNX"),
    ),
    Case(
        name="unknown-operator",
        spec=lambda bad: _uri(bad.unknown_operator),
        reason="UnsupportedOperator",
        says=lambda _: ("Divine", "Export the model with operators"),
    ),
    Case(
        name="pickled",
        spec=lambda bad: _uri(bad.pickled),
        reason="NotServable",
        says=lambda _: ("its flavors: sklearn", "log it with mlflow.onnx.log_model"),
    ),
    Case(
        name="other-digest",
        spec=lambda bad: {"model": {"uri": bad.plain_file, "sha256": "0" * 64}},
        reason="DigestMismatch",
        says=lambda _: ("0" * 8, hashlib.sha256(ONNX).hexdigest()[:8], "correct spec.model.sha256"),
    ),
    Case(
        name="too-much-memory",
        spec=lambda _: {"pod": {"resources": HUGE}},
        reason="Unschedulable",
        says=lambda _: ("memory", "Lower spec.pod.resources.requests"),
    ),
)
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def bad(mlflow: Mlflow, model: Registered, plain_file: str) -> Bad:
    """Given models that are wrong."""
    return Bad.registered(mlflow, model, plain_file)


@pytest.fixture(scope="module")
def at(cluster: Cluster, gateway_url: str, module_namespace: str) -> Callable[[str], Served]:
    """An object of this file by name."""
    return lambda name: Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name=name)


@pytest.fixture(scope="module")
def neighbour(
    at: Callable[[str], Served], model: Registered, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Served]:
    """Given a neighbour that is asked all the while; in the end, none of its requests may have failed."""
    served = at("neighbour").apply(model.version(0), replicas=2).wait_until_ready().wait_until_it_answers()
    stream = Stream(name="neighbour", url=served.url, body=json_request(ROWS), per_second=50)
    load = Load([stream], tmp_path_factory.mktemp("neighbour"), node=served.cluster.control_plane)
    with load:
        yield served
    count = Count.of(load.answers(stream.name))
    say(f"  the neighbour of bad input: {count.told}")
    assert count.failed == 0


@pytest.fixture(scope="module")
def plain_file(cluster: Cluster) -> str:
    """Given a plain ONNX file in S3, and an operator that was told where s3:// is: the chart's own store."""
    if not release.values(cluster).get("modelFiles", {}).get("s3", {}).get("endpoint"):
        release.upgrade(
            cluster,
            f"modelFiles.s3.endpoint=http://{names.STORE}.{names.SYSTEM}:7070",
            f"modelFiles.s3.existingSecret={names.STORE}-writer",
        )
    with object_store(cluster) as store:
        obstore.put(store, PLAIN_FILE, ONNX)
    return f"s3://{names.BUCKET}/{PLAIN_FILE}"


@pytest.fixture(scope="module")
def overwritten(mlflow: Mlflow) -> Registered:
    """Given a model whose first version gets other files when an object serves it."""
    return register_pair(mlflow, "overwritten")


@pytest.fixture(scope="module", autouse=True)
def spoiled(
    neighbour: Served, at: Callable[[str], Served], bad: Bad, mlflow: Mlflow, overwritten: Registered
) -> Mapping[str, Served]:
    """Given, beside the neighbour, an object for each case that was Ready and is now spoiled."""
    assert neighbour.condition("Ready")
    objects = {case.name: at(case.name).apply(bad.good.version(0)) for case in CASES}
    pinned = at("overwritten").apply(overwritten.version(0))
    for served in (*objects.values(), pinned):
        served.wait_until_ready()
    for case in CASES:
        objects[case.name].edit(**case.spec(bad))
    # A version's files are listed once a minute: the minute passes while the other tests of this file run.
    mlflow.upload(mlflow.source(overwritten.name, overwritten.versions[0]), "model.onnx", b"other bytes")
    return objects


@pytest.mark.parametrize("name", BY_NAME)
def test_bad_input_is_named_with_its_remedy_while_the_last_good_revision_serves(
    name: str, spoiled: Mapping[str, Served], bad: Bad
) -> None:
    case, served = BY_NAME[name], spoiled[name]
    held = served.wait_for_reason(case.reason, within=60)
    assert all(word in held["message"] for word in case.says(bad)), held["message"]
    served.wait_for("Ready", status="False", within=15)
    served.wait_for("Serving", within=15)
    assert ask(served.url, ROWS) == [bad.good.answer(0)]


def test_a_spoiled_object_that_is_put_right_is_ready_again(spoiled: Mapping[str, Served], bad: Bad) -> None:
    served = spoiled["not-onnx"]
    served.edit(model={"uri": bad.good.version(1)})
    served.wait_until_ready(within=60)
    assert ask(served.url, ROWS) == [bad.good.answer(1)]


def test_a_first_model_that_never_ran_gives_way_to_the_right_one(at: Callable[[str], Served], bad: Bad) -> None:
    served = at("wrong-first").apply(bad.not_onnx)
    served.wait_for_reason("NotOnnx", within=60)
    served.edit(model={"uri": bad.good.version(1)})
    served.wait_until_ready(within=60).wait_until_it_answers()
    assert ask(served.url, ROWS) == [bad.good.answer(1)]


def test_a_plain_file_is_served_by_its_digest(at: Callable[[str], Served], bad: Bad) -> None:
    sha256 = hashlib.sha256(ONNX).hexdigest()
    served = at("plain-file").apply(bad.plain_file, sha256=sha256)
    served.wait_until_ready(within=60).wait_until_it_answers()
    assert ask(served.url, ROWS) == [bad.good.answer(0)]


def test_an_object_that_never_had_a_model_says_why(at: Callable[[str], Served], bad: Bad) -> None:
    served = at("never").apply(f"models:/{bad.missing}/1")
    held = served.wait_for_reason("ModelNotFound", within=30)
    assert f"No model {bad.missing!r}" in held["message"]
    assert "register it, or correct spec.model.uri" in held["message"]
    served.wait_for("Serving", status="False", within=15)


def test_an_alias_that_is_removed_leaves_the_last_good_revision(at: Callable[[str], Served], mlflow: Mlflow) -> None:
    model = register_pair(mlflow, "unnamed")
    served = at("alias-removed").apply(model.by_alias).wait_until_ready().wait_until_it_answers()
    mlflow.delete_alias(model.name, model.alias)
    held = served.wait_for_reason("AliasNotFound", within=30)
    assert f"no alias {model.alias!r}" in held["message"]
    assert "set the alias on a version" in held["message"]
    assert ask(served.url, ROWS) == [model.answer(0)]


def test_files_that_were_changed_in_the_store_are_not_run(
    at: Callable[[str], Served], mlflow: Mlflow, cluster: Cluster
) -> None:
    model = register_pair(mlflow, "spoiled-in-store")
    served = at("spoiled-in-store").apply(model.version(0)).wait_until_ready().wait_until_it_answers()
    digest = served.now()["status"]["model"]["digest"]
    with object_store(cluster) as store:
        folder = f"models/{digest.removeprefix('sha256:')}/files"
        place = next(meta["path"] for batch in obstore.list(store, folder) for meta in batch)
        right = bytes(obstore.get(store, place).bytes())
        obstore.put(store, place, right[:-1] + b"!")
        served.edit(replicas=2)
        held = served.wait_for_reason("DigestMismatch", within=60)
        assert "Remove the damaged copy from the object store" in held["message"]
        assert ask(served.url, ROWS) == [model.answer(0)]
        obstore.put(store, place, right)
    served.wait_until_ready()


def test_an_unknown_field_is_refused_by_name(cluster: Cluster, module_namespace: str, model: Registered) -> None:
    manifest = manifests.model_deployment("unknown-field", module_namespace, model.version(0), replicsa=2)
    assert "replicsa" in cluster.refusal(manifest)


def test_a_name_too_long_for_its_children_is_refused(
    cluster: Cluster, module_namespace: str, model: Registered
) -> None:
    manifest = manifests.model_deployment("n" * 51, module_namespace, model.version(0))
    assert "metadata.name: at most 50 characters" in cluster.refusal(manifest)


def test_of_two_that_want_one_hostname_the_older_has_it(at: Callable[[str], Served], model: Registered) -> None:
    older = at("older").apply(model.version(0), routing={"hostname": HOSTNAME}).wait_until_ready()
    younger = at("younger").apply(model.version(1), routing={"hostname": HOSTNAME})
    held = younger.wait_for("HostnameConflict", reason="HostnameTaken", within=60)
    assert f"{older.namespace}/older" in held["message"]
    assert "choose another spec.routing.hostname" in held["message"]
    younger.wait_for("Serving", within=60)
    by_hostname = f"{older.gateway_url}/v2/models/older/infer"
    assert ask(by_hostname, ROWS, headers={"host": HOSTNAME}) == [model.answer(0)]


def test_an_object_edited_while_it_is_rolled_out_reaches_the_last_edit(
    at: Callable[[str], Served], model: Registered
) -> None:
    served = at("edited-twice").apply(model.version(0)).wait_until_ready().wait_until_it_answers()
    served.edit(model={"uri": model.version(1)})
    served.wait_until(lambda found: found["status"].get("rollout"), "a change is under way", within=30)
    served.edit(model={"uri": model.version(0)}, runtime={"graphOptimization": "basic"})
    served.wait_until_ready()
    assert ask(served.url, ROWS) == [model.answer(0)]
    assert len(served.revisions()) <= 2


def test_an_object_deleted_while_it_is_rolled_out_leaves_nothing(
    at: Callable[[str], Served], model: Registered, cluster: Cluster
) -> None:
    served = at("half-way").apply(model.version(0)).wait_until_ready()
    served.edit(model={"uri": model.version(1)})
    served.wait_until(lambda found: found["status"].get("rollout"), "a change is under way", within=30)
    cluster.delete("ModelDeployment", served.name, served.namespace)
    for kind in ("Deployment", "Service", "HTTPRoute", "Pod", "Secret", "ServiceAccount"):
        wait_for(
            lambda kind=kind: (
                not cluster.list(  # type: ignore[misc]
                    kind, served.namespace, selector=f"{names.MODEL_LABEL}={served.name}"
                )
            ),
            f"no {kind} of {served.name} is left",
            within=90,
            context=lambda: json.dumps(cluster.list("Pod", served.namespace)),
        )


def test_files_that_were_changed_under_a_version_are_named_and_the_pinned_ones_stay(
    at: Callable[[str], Served], overwritten: Registered
) -> None:
    served = at("overwritten")
    held = served.wait_for("DigestChanged", reason="DigestChanged", within=90)
    assert served.now()["status"]["model"]["digest"][:19] in held["message"]
    assert "Register the new files as a new version" in held["message"]
    served.wait_for("Ready", within=15)
    assert ask(served.url, ROWS) == [overwritten.answer(0)]
