"""What are the children of a ModelDeployment called?"""

import hashlib
import json

from loadline_contracts import labels
from loadline_contracts.modeldeployment import ModelDeployment, RevisionTemplate


def revision_name(template: RevisionTemplate) -> str:
    """Return the revision's name: ten hexadecimal digits of the sha256 of its template."""
    text = json.dumps(template.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def revision_child(parent: ModelDeployment, revision: str) -> str:
    """Return the name of a revision's Deployment, Service and PodDisruptionBudget."""
    return f"{parent.metadata.name}-{revision}"


def store_secret(parent: ModelDeployment) -> str:
    """Return the name of the Secret with the credentials by which pods read model files."""
    return f"{parent.metadata.name}-store"


def host_route(parent: ModelDeployment) -> str:
    """Return the name of the routes that go by hostname."""
    return f"{parent.metadata.name}-host"


def shared_labels(parent: ModelDeployment) -> dict[str, str]:
    """Return the labels of every child."""
    return {
        labels.MANAGED_BY: labels.MANAGED_BY_VALUE,
        labels.APP_NAME: labels.APP_NAME_VALUE,
        labels.MODEL_DEPLOYMENT: parent.metadata.name,
    }


def revision_selector(parent: ModelDeployment, revision: str) -> dict[str, str]:
    """Return the labels that select the pods of one revision."""
    return {labels.MODEL_DEPLOYMENT: parent.metadata.name, labels.REVISION: revision}


def path_prefix(parent: ModelDeployment) -> str:
    """Return the path under which the gateway serves the model."""
    return f"/{parent.metadata.namespace}/{parent.metadata.name}"


def grpc_authority(parent: ModelDeployment, domain: str) -> str:
    """Return the hostname by which gRPC callers address the model."""
    return f"{parent.metadata.name}.{parent.metadata.namespace}.{domain}"


def route_keys(parent: ModelDeployment) -> tuple[str, ...]:
    """Return the routes whose weights move together, as Envoy's names begin: ``httproute/NAME``."""
    name = parent.metadata.name
    by_host = (f"httproute/{host_route(parent)}",) if parent.spec.routing.hostname else ()
    return (f"httproute/{name}", *by_host, f"grpcroute/{name}", f"grpcroute/{host_route(parent)}")
