"""How a test speaks to the cluster: apply, read, wait, and say what went wrong."""

import json
import os
import ssl
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from support import names
from support.programs import CACHE, program, search_path
from support.waiting import wait_for

Manifest = dict[str, Any]

ALLOWED_CONTEXT = "kind-loadline"
TEST_CLUSTER = os.environ.get("LOADLINE_TEST_CLUSTER", "loadline-test")

# Where the API server serves each kind that the tests read.
PATHS: Mapping[str, tuple[str, str]] = {
    "ModelDeployment": ("apis/loadline.dev/v1alpha1", "modeldeployments"),
    "Pod": ("api/v1", "pods"),
    "Service": ("api/v1", "services"),
    "Secret": ("api/v1", "secrets"),
    "ConfigMap": ("api/v1", "configmaps"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Event": ("api/v1", "events"),
    "Node": ("api/v1", "nodes"),
    "Namespace": ("api/v1", "namespaces"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "Gateway": ("apis/gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "GRPCRoute": ("apis/gateway.networking.k8s.io/v1", "grpcroutes"),
    "BackendTrafficPolicy": ("apis/gateway.envoyproxy.io/v1alpha1", "backendtrafficpolicies"),
}


class WrongClusterError(RuntimeError):
    """The tests were pointed at a cluster that is not one of Loadline's own kind clusters."""

    def __init__(self, context: str) -> None:
        super().__init__(
            f"context {context} is refused: these tests drain nodes and stop programs, on kind-loadline* only"
        )


class ClusterMissingError(RuntimeError):
    """The test cluster was not raised."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cluster {name} does not answer ({reason}); run: make up NAME={name}")


class CommandFailedError(AssertionError):
    """A command that a test ran failed; the message holds what it said."""

    def __init__(self, command: Iterable[str], said: str) -> None:
        super().__init__(f"{' '.join(command)}\n{said.strip()}")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One kind cluster, by the context of its own kubeconfig."""

    name: str
    kubeconfig: Path
    context: str
    config: Mapping[str, Any] = field(repr=False)

    @classmethod
    def named(cls, name: str) -> "Cluster":
        """The cluster of this name, from the kubeconfig that the cluster tool keeps for it."""
        kubeconfig = CACHE / f"kubeconfig-{name}"
        if not kubeconfig.exists():
            raise ClusterMissingError(name, f"{kubeconfig} is not there")
        config = yaml.safe_load(kubeconfig.read_text())
        context = config.get("current-context", "")
        if not context.startswith(ALLOWED_CONTEXT):
            raise WrongClusterError(context)
        return cls(name=name, kubeconfig=kubeconfig, context=context, config=config)

    @property
    def control_plane(self) -> str:
        """The node that is never drained and serves no model."""
        return f"{self.name}-control-plane"

    # -- programs

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which programs find this cluster and no other."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": search_path()}

    def run(self, *command: str, given: str | None = None, within: float = 60) -> str:
        """Run a program against this cluster and return what it printed."""
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            input=given,
            capture_output=True,
            text=True,
            timeout=within,
            env=self.environment,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailedError(command, done.stdout + done.stderr)
        return done.stdout

    def kubectl(self, *arguments: str, given: str | None = None, within: float = 60) -> str:
        """Run kubectl in this cluster's context."""
        return self.run("kubectl", "--context", self.context, *arguments, given=given, within=within)

    def refusal(self, manifest: Manifest) -> str:
        """What admission says to a manifest that it must refuse; an accepted one fails the test."""
        try:
            self.apply(manifest)
        except CommandFailedError as error:
            return str(error)
        raise AssertionError(f"admission accepted {json.dumps(manifest)}")

    def apply(self, *manifests: Manifest, within: float = 120) -> None:
        """Apply manifests as a user does: kubectl, server-side, strict about unknown fields."""
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", given=bundle, within=within)

    # -- the API

    @cached_property
    def api(self) -> httpx.Client:
        """A client of the API server with the kubeconfig's certificate."""
        context = next(c["context"] for c in self.config["contexts"] if c["name"] == self.context)
        cluster = next(c["cluster"] for c in self.config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in self.config["users"] if u["name"] == context["user"])
        trust = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile("w") as pair:
            pair.write(b64decode(user["client-certificate-data"]).decode())
            pair.write(b64decode(user["client-key-data"]).decode())
            pair.flush()
            trust.load_cert_chain(pair.name)
        return httpx.Client(base_url=cluster["server"], verify=trust, timeout=30, trust_env=False)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object, or None."""
        answer = self.api.get(f"{_path(kind, namespace)}/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: Manifest = answer.json()
        return found

    def must_get(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        """One object that has to be there."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"no {kind} {namespace}/{name}"
        return found

    def list(self, kind: str, namespace: str | None = None, *, selector: str = "", fields: str = "") -> list[Manifest]:
        """The objects of a kind, in one namespace or in all."""
        asked = {key: value for key, value in {"labelSelector": selector, "fieldSelector": fields}.items() if value}
        answer = self.api.get(_path(kind, namespace), params=asked)
        answer.raise_for_status()
        items: list[Manifest] = answer.json()["items"]
        return items

    def patch(self, kind: str, name: str, namespace: str | None, change: Manifest) -> Manifest:
        """Merge a change into an object, as another person's edit would."""
        answer = self.api.patch(
            f"{_path(kind, namespace)}/{name}",
            content=json.dumps(change),
            headers={"content-type": "application/merge-patch+json"},
            params={"fieldManager": "tests", "fieldValidation": "Strict"},
        )
        assert answer.is_success, f"patch of {kind} {namespace}/{name}: {answer.text}"
        changed: Manifest = answer.json()
        return changed

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object gracefully; one that is gone already is fine."""
        answer = self.api.delete(f"{_path(kind, namespace)}/{name}", params={"propagationPolicy": "Background"})
        assert answer.is_success or answer.status_code == httpx.codes.NOT_FOUND, answer.text

    # -- waiting

    def wait_until_gone(self, kind: str, name: str, namespace: str | None = None, *, within: float = 60) -> None:
        """Wait until an object is no longer there."""
        wait_for(
            lambda: self.get(kind, name, namespace) is None,
            f"{kind} {namespace}/{name} is gone",
            within=within,
        )

    def wait_for_condition(
        self,
        kind: str,
        name: str,
        namespace: str,
        type_: str,
        *,
        status: str = "True",
        reason: str = "",
        within: float,
    ) -> Manifest:
        """Wait for a condition that speaks of the object as it now stands, and return the condition."""

        def look() -> Manifest | None:
            found = self.get(kind, name, namespace)
            held = None if found is None else condition(found, type_)
            if found is None or held is None or held["status"] != status or (reason and held["reason"] != reason):
                return None
            current = held.get("observedGeneration", found["metadata"]["generation"])
            return held if current == found["metadata"]["generation"] else None

        return wait_for(
            look,
            f"{kind} {namespace}/{name} has {type_}={status} {reason}".rstrip(),
            within=within,
            seen=lambda: _conditions(self.get(kind, name, namespace)),
            context=lambda: self.explain(namespace),
        )

    def wait_for_rollout(self, name: str, namespace: str, *, kind: str = "Deployment", within: float = 120) -> None:
        """Wait until a workload runs its newest template in full, and nothing else."""

        def done() -> bool:
            found = self.must_get(kind, name, namespace)
            status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
            counts = {status.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "replicas")}
            return counts == {wanted} and status.get("observedGeneration") == found["metadata"]["generation"]

        wait_for(
            done,
            f"{kind} {namespace}/{name} is rolled out",
            within=within,
            seen=lambda: self.must_get(kind, name, namespace).get("status"),
            context=lambda: self.explain(namespace),
        )

    # -- explaining

    def explain(self, namespace: str) -> str:
        """What a person looks at first: pods and events of a namespace, and the operator's last words."""
        return "\n".join(
            [_pods(self.list("Pod", namespace)), _events(self.list("Event", namespace)), self.operator_says()]
        )

    def operator_says(self, *, lines: int = 30) -> str:
        """The end of every operator replica's log."""
        said = []
        for pod in self.list("Pod", names.SYSTEM, selector=f"app.kubernetes.io/name={names.OPERATOR}"):
            name = pod["metadata"]["name"]
            log = self.api.get(f"{_path('Pod', names.SYSTEM)}/{name}/log", params={"tailLines": lines})
            said.append(f"--- log of {name}\n{log.text}")
        return "\n".join(said)


def condition(found: Manifest, type_: str) -> Manifest | None:
    """The condition of a type on an object, or None."""
    held = found.get("status", {}).get("conditions", [])
    return next((c for c in held if c["type"] == type_), None)


def _path(kind: str, namespace: str | None) -> str:
    version, plural = PATHS[kind]
    return f"/{version}/namespaces/{namespace}/{plural}" if namespace else f"/{version}/{plural}"


def _conditions(found: Manifest | None) -> str:
    if found is None:
        return "no such object"
    held = found.get("status", {}).get("conditions", [])
    lines = [f"{c['type']}={c['status']} {c.get('reason')}: {c.get('message')}" for c in held]
    return "\n  ".join(["conditions", *lines]) if lines else f"no conditions; status {found.get('status')}"


def _pods(pods: Iterable[Manifest]) -> str:
    return "\n".join(["--- pods", *(_pod(pod) for pod in pods)])


def _pod(pod: Manifest) -> str:
    status = pod.get("status", {})
    states = [
        f"{c['name']} ready={c['ready']} restarts={c['restartCount']} {json.dumps(c['state'])}"
        for c in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", []))
    ]
    where = pod["spec"].get("nodeName")
    return f"{pod['metadata']['name']} {status.get('phase')} on {where}: {'; '.join(states)}"


def _events(events: list[Manifest]) -> str:
    recent = sorted(events, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")[-20:]
    lines = [
        f"{e['involvedObject']['kind']}/{e['involvedObject'].get('name')} {e['reason']}: {e.get('message')}"
        for e in recent
    ]
    return "\n".join(["--- events", *lines])


def decoded_secret(secret: Manifest) -> dict[str, str]:
    """The values of a Secret."""
    return {key: b64decode(value).decode() for key, value in secret.get("data", {}).items()}
