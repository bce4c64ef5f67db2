"""What is the operator told from outside?"""

from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """The operator's environment: every name stands there in capitals, after LOADLINE_."""

    model_config = SettingsConfigDict(
        env_prefix="LOADLINE_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    namespace: str = "loadline-system"
    """Namespace of the operator: its lease lies there."""
    pod_name: str = Field(default_factory=lambda: f"local-{uuid4().hex[:8]}")
    """Name of this replica."""
    lease_name: str = "loadline-operator"
    """Name of the lease."""
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces whose ModelDeployments are served, separated by commas; all when empty."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is logged."""

    gateway_name: str = "loadline"
    """Name of the Gateway that routes attach to."""
    gateway_namespace: str = "loadline-system"
    """Namespace of the Gateway."""
    gateway_url: str = "http://localhost:8080"
    """Address of the gateway for callers."""
    grpc_domain: str = "models.loadline.local"
    """Domain of the hostnames by which gRPC callers address models."""
    envoy_namespace: str = "envoy-gateway-system"
    """Namespace of the gateway's Envoys."""
    envoy_read_only_port: Annotated[int, Field(gt=0, lt=65536)] = 19004
    """Port on which each Envoy shows its live configuration and counters."""

    mlflow_url: str = "http://loadline-mlflow.loadline-system:5000"
    """Address of the model registry."""
    mlflow_token: SecretStr = SecretStr("")
    """Bearer token for the registry."""
    mlflow_username: str = ""
    """User for the registry, with a password."""
    mlflow_password: SecretStr = SecretStr("")
    """Password for the registry."""
    poll_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Time between two questions to the registry about a model's aliases."""
    max_model_bytes: Annotated[int, Field(gt=0)] = 20 << 30
    """The largest model that is copied to the object store."""

    store_url: str = "s3://loadline-models"
    """Where model files lie: `s3://…`, `gs://…`, `abfss://…` or `file:///…`."""
    store_endpoint: str = "http://loadline-store.loadline-system:7070"
    """Address of an S3 server; empty for the clouds' own."""
    store_region: str = "us-east-1"
    """Region of the object store."""
    store_own: bool = False
    """Whether the store is the chart's, in the operator's namespace: serving pods may then call its pods alone."""
    store_reader_access_key_id: str = ""
    """Key with which serving pods read model files."""
    store_reader_secret_access_key: SecretStr = SecretStr("")
    """Its secret."""

    source_endpoint: str = ""
    """Address of the S3 server behind `s3://` models; empty for AWS."""
    source_region: str = "us-east-1"
    """Its region."""
    source_access_key_id: str = ""
    """Key with which `s3://` models are read; without one they are read as anybody."""
    source_secret_access_key: SecretStr = SecretStr("")
    """Its secret."""
    ca_bundle: Path | None = None
    """File with further certificate authorities that `https://` models are trusted by."""

    model_extra_egress: tuple[dict[str, Any], ...] = ()
    """Further NetworkPolicy egress rules for serving pods, in JSON."""
    serving_image: str = "docker.io/loadline/serving:dev"
    """Image of the serving pods."""
    serving_gpu_image: str = ""
    """Image of the serving pods that run their model on a GPU; without one, such objects are told so."""
    drain_grace_seconds: Annotated[float, Field(ge=0)] = 5.0
    """How long a revision without traffic keeps its pods."""
    progress_deadline_seconds: Annotated[float, Field(gt=0)] = 600.0
    """How long a new revision may take to become ready before the object is called degraded."""
    surge_deadline_seconds: Annotated[float, Field(gt=0)] = 300.0
    """How long a drained node waits for a second pod before the only one may be evicted."""

    metrics_port: Annotated[int, Field(gt=0, lt=65536)] = 9090
    """Port of the Prometheus metrics."""
    health_port: Annotated[int, Field(gt=0, lt=65536)] = 8081
    """Port of /livez and /readyz."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many objects are looked at at once."""

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.replace(" ", "").split(","))) if isinstance(value, str) else value
