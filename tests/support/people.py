"""What does the API server let somebody else do than an administrator?"""

import json
from dataclasses import dataclass

from support.cluster import Cluster, CommandFailedError, Manifest


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody by the name under which the API server knows them."""

    cluster: Cluster
    name: str

    def apply(self, manifest: Manifest, *options: str) -> None:
        """Apply as this person."""
        self.cluster.kubectl(
            *("apply", "--server-side", "--force-conflicts", "--validate=strict", "--as", self.name, *options),
            *("-f", "-"),
            given=json.dumps(manifest),
        )

    def is_refused(self, manifest: Manifest) -> str:
        """What admission says to this person; an accepted manifest fails the test."""
        try:
            self.apply(manifest)
        except CommandFailedError as error:
            return str(error)
        raise AssertionError(f"admission let {self.name} apply {json.dumps(manifest)}")


def person(cluster: Cluster, name: str, namespace: str, may_write: Manifest) -> Person:
    """A ServiceAccount that has every verb for some resources of one namespace, and for nothing else."""
    meta = {"name": name, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {**rbac, "kind": "Role", "rules": [{**may_write, "verbs": ["*"]}]},
        {**rbac, "kind": "RoleBinding", "roleRef": role, "subjects": [{"kind": "ServiceAccount", **meta}]},
    )
    return Person(cluster=cluster, name=f"system:serviceaccount:{namespace}:{name}")
