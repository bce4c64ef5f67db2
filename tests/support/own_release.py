"""A release of the chart that belongs to one test, beside the one that the cluster runs."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml
from support import names
from support.chart import CHART, VALUES
from support.cluster import Cluster, Manifest
from support.programs import program

READY_WITHIN = "240s"


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release of a copy of the chart, with a CustomResourceDefinition of its own in place of the project's."""

    cluster: Cluster
    name: str
    chart: Path
    values: Path

    @classmethod
    def prepare(cls, cluster: Cluster, name: str, folder: Path) -> "Release":
        """Copy the chart and write the values: nothing is installed yet."""
        leave_out = shutil.ignore_patterns("modeldeployments.yaml")
        chart = Path(shutil.copytree(CHART, folder / "loadline", ignore=leave_out))
        made = cls(cluster=cluster, name=name, chart=chart, values=folder / "values.json")
        made.values.write_text(json.dumps(_values(made)))
        made.define()
        return made

    @property
    def namespace(self) -> str:
        """The release has a namespace of its name."""
        return self.name

    @property
    def crd(self) -> str:
        """The name of the CustomResourceDefinition that stands in for the project's."""
        return f"probes.{self.name}.loadline.dev"

    def helm(self, *command: str) -> str:
        """Run helm against the cluster."""
        where = ["--kubeconfig", str(self.cluster.kubeconfig), "--kube-context", self.cluster.context]
        done = subprocess.run(
            [program("helm"), *where, "--namespace", self.namespace, *command],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"helm {' '.join(command)}\n{done.stderr}{self.cluster.explain(self.namespace)}"
        return done.stdout

    def apply(self, changed: Manifest | None = None) -> None:
        """Install or upgrade with these values changed, and wait until everything is ready."""
        given = ["--values", str(VALUES["kind"]), "--values", str(self.values)]
        if changed:
            over = self.values.with_name("changed.json")
            over.write_text(json.dumps(changed))
            given += ["--values", str(over)]
        waiting = ["--wait", "--timeout", READY_WITHIN]
        self.helm("upgrade", "--install", self.name, str(self.chart), *given, *waiting)

    def remove(self) -> None:
        """Uninstall, if it is there, and wait until its pods are gone."""
        self.helm("uninstall", self.name, "--ignore-not-found", "--wait", "--timeout", READY_WITHIN)

    def define(self, *, short_names: Sequence[str] = ()) -> None:
        """Write the CustomResourceDefinition into the copy of the chart."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        kinds = {"kind": "Probe", "plural": "probes", "shortNames": list(short_names)}
        found = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.crd},
            "spec": {
                "group": f"{self.name}.loadline.dev",
                "scope": "Namespaced",
                "names": kinds,
                "versions": [version],
            },
        }
        (self.chart / "files/crds/probes.yaml").write_text(yaml.safe_dump(found))

    def defined(self) -> Manifest | None:
        """The CustomResourceDefinition as the API server has it."""
        answer = self.cluster.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{self.crd}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: Manifest = answer.json()
        return found

    def pods(self) -> list[Manifest]:
        """The pods of the release, Envoys included, that are there and not leaving."""
        envoys = f"gateway.envoyproxy.io/owning-gateway-name={self.name}"
        found = [
            *self.cluster.list("Pod", self.namespace, selector=f"app.kubernetes.io/instance={self.name}"),
            *self.cluster.list("Pod", names.GATEWAY_SYSTEM, selector=envoys),
        ]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _values(release: Release) -> Manifest:
    """A small release that looks at its own namespace only and opens no port of a node."""
    asked = ["get", "values", names.RELEASE, "--namespace", names.SYSTEM, "--output", "json"]
    return {
        "images": json.loads(release.helm(*asked)).get("images", {}),
        "watchNamespaces": [release.namespace],
        "operator": {"replicas": 1},
        "mlflow": {"externalUrl": f"http://{names.MLFLOW}.{names.SYSTEM}:5000"},
        "objectStore": {"persistence": {"size": "64Mi"}},
        "gateway": {"replicas": 1, "service": {"type": "ClusterIP", "nodePort": 0}},
        "access": {"waived": False},
    }
