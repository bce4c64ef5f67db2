"""The objects that tests apply, in the shortest form that says what matters."""

from collections.abc import Mapping
from typing import Any

from support.cluster import Manifest

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def namespace(name: str, *, labels: Mapping[str, str] = RESTRICTED) -> Manifest:
    """A namespace in which only restricted pods may run."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}


def model_deployment(
    name: str,
    namespace: str,
    model: str,
    *,
    sha256: str = "",
    replicas: int = 1,
    retries: int | None = None,
    **spec: Any,
) -> Manifest:
    """A ModelDeployment of a model by its URI, with further fields of `spec` as given."""
    routing = dict(spec.pop("routing", {}))
    if retries is not None:
        routing["retries"] = retries
    return {
        "apiVersion": "loadline.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": model} | ({"sha256": sha256} if sha256 else {}),
            "replicas": replicas,
            **({"routing": routing} if routing else {}),
            **spec,
        },
    }
