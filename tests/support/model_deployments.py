"""How a test follows a ModelDeployment: apply it, wait for what it says of itself, find its pods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support import names
from support.cluster import Cluster, Manifest, condition
from support.inference import answers_now, infer_path
from support.manifests import model_deployment
from support.serving_models import ROWS
from support.waiting import wait_for

# Pods of tests ask for little, so that one worker holds them all while the other is drained.
SMALL = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
KIND = "ModelDeployment"


@dataclass(frozen=True, kw_only=True)
class Served:
    """One ModelDeployment on the cluster."""

    cluster: Cluster
    gateway_url: str
    namespace: str
    name: str

    def apply(self, model: str, *, replicas: int = 1, retries: int | None = None, **spec: Any) -> "Served":
        """Apply the object with small pods, unless `pod` says otherwise."""
        chosen = {"pod": {"resources": SMALL}} | spec
        self.cluster.apply(
            model_deployment(self.name, self.namespace, model, replicas=replicas, retries=retries, **chosen)
        )
        return self

    @property
    def url(self) -> str:
        """Where the model is asked for a prediction through the gateway."""
        return f"{self.gateway_url}/{self.namespace}/{self.name}{infer_path(self.name)}"

    def now(self) -> Manifest:
        """The object as it stands."""
        return self.cluster.must_get(KIND, self.name, self.namespace)

    def edit(self, **spec: Any) -> None:
        """Merge a change into the spec."""
        self.cluster.patch(KIND, self.name, self.namespace, {"spec": spec})

    def wait_for(self, type_: str, *, status: str = "True", reason: str = "", within: float) -> Manifest:
        """Wait for a condition that speaks of the newest spec."""
        return self.cluster.wait_for_condition(
            KIND, self.name, self.namespace, type_, status=status, reason=reason, within=within
        )

    def wait_for_reason(self, reason: str, *, within: float) -> Manifest:
        """Wait until some condition names this cause for the newest spec, and return it."""

        def named() -> Manifest | None:
            found = self.now()
            held = found.get("status", {}).get("conditions", [])
            generation = found["metadata"]["generation"]
            fresh = (c for c in held if c["reason"] == reason and c["observedGeneration"] == generation)
            return next(fresh, None)

        return wait_for(
            named,
            f"a condition of {self.namespace}/{self.name} has the reason {reason}",
            within=within,
            seen=lambda: self.now().get("status"),
            context=lambda: self.cluster.explain(self.namespace),
        )

    def wait_until_ready(self, *, within: float = 120) -> "Served":
        """Wait until the spec is reached and nothing is under way any more."""
        self.wait_for("Ready", within=within)
        self.wait_until(lambda found: not found["status"].get("rollout"), "no change is under way", within=within)
        return self

    def wait_until_it_answers(self, *, within: float = 30) -> "Served":
        """Wait until the gateway leads to it."""
        wait_for(
            lambda: answers_now(self.url, ROWS),
            f"{self.url} answers",
            within=within,
            context=lambda: self.cluster.explain(self.namespace),
        )
        return self

    def wait_until(self, holds: Callable[[Manifest], object], what: str, *, within: float) -> Manifest:
        """Wait until something holds of the object, and return it as it was then."""

        def look() -> Manifest | None:
            found = self.now()
            return found if holds(found) else None

        return wait_for(
            look,
            f"{self.namespace}/{self.name}: {what}",
            within=within,
            seen=lambda: self.now().get("status"),
            context=lambda: self.cluster.explain(self.namespace),
        )

    def condition(self, type_: str) -> Manifest | None:
        """A condition as it stands."""
        return condition(self.now(), type_)

    def pods(self) -> list[Manifest]:
        """Its pods that are not leaving."""
        found = self.cluster.list("Pod", self.namespace, selector=f"{names.MODEL_LABEL}={self.name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def revisions(self) -> set[str]:
        """The names of the revisions that have pods."""
        return {revision["name"] for revision in self.now().get("status", {}).get("revisions", [])}
