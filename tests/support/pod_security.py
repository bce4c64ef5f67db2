"""What keeps a pod from running under Pod Security "restricted", and under what Loadline asks besides."""

from collections.abc import Iterator
from typing import Any

PodSpec = dict[str, Any]

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec: PodSpec) -> list[str]:
    """Every rule of the restricted profile that a pod breaks; none means that it is admitted."""
    return [*_of_the_pod(spec), *(f for container in containers(spec) for f in _of_a_container(container, spec))]


def loose_ends(spec: PodSpec) -> list[str]:
    """What restricted lets pass and Loadline does not: writable roots, unbounded memory, unused tokens."""
    found = [] if "automountServiceAccountToken" in spec else ["says nothing about its token"]
    for container in containers(spec):
        context = container.get("securityContext", {})
        if not context.get("readOnlyRootFilesystem"):
            found.append(f"{container['name']}: writes to its root file system")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            found.append(f"{container['name']}: has no memory limit")
    return found


def containers(spec: PodSpec) -> list[dict[str, Any]]:
    """Every container of a pod, init containers included."""
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]


def _of_the_pod(spec: PodSpec) -> Iterator[str]:
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield f"shares the node's {shared}"
    for volume in spec.get("volumes", []):
        if not VOLUMES & set(volume):
            yield f"volume {volume['name']} is of a kind that restricted refuses"
    context = spec.get("securityContext", {})
    if context.get("runAsUser") == 0:
        yield "runs as root"
    if context.get("sysctls"):
        yield "sets sysctls"


def _of_a_container(container: dict[str, Any], spec: PodSpec) -> Iterator[str]:
    name = container["name"]
    context = container.get("securityContext", {})
    effective = {**spec.get("securityContext", {}), **context}
    capabilities = context.get("capabilities", {})
    if context.get("privileged"):
        yield f"{name}: is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: may gain privileges"
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: keeps capabilities"
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield f"{name}: may run as root"
    if effective.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"{name}: has no seccomp profile"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: takes a port of the node"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: sees an unmasked /proc"
