"""Which names the parts of Loadline have on the cluster."""

from typing import Final

SYSTEM: Final = "loadline-system"
GATEWAY_SYSTEM: Final = "envoy-gateway-system"
GATEWAY: Final = "loadline"
RELEASE: Final = "loadline"
ENVOY_GATEWAY: Final = "envoy-gateway"

OPERATOR: Final = "loadline-operator"
MLFLOW: Final = "loadline-mlflow"
STORE: Final = "loadline-store"
BUCKET: Final = "loadline-models"

MODEL_LABEL: Final = "loadline.dev/model-deployment"
REVISION_LABEL: Final = "loadline.dev/revision"
ENVOY_SELECTOR: Final = f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}"
GATEWAY_NODE_PORT: Final = 30080
READ_ONLY_PORT: Final = 19004
MODELS_DOMAIN: Final = "models.loadline.local"
MODEL_METADATA: Final = "loadline-model"

SERVING_CONTAINER: Final = "serving"
