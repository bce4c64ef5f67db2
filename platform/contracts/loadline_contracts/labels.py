"""Under which keys do Loadline's objects find one another?"""

from typing import Final

GROUP: Final = "loadline.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "loadline.dev/v1alpha1"

FIELD_MANAGER: Final = "loadline-operator"
"""The server-side-apply field manager of everything the operator writes; renaming it would orphan fields."""

MODEL_DEPLOYMENT: Final = "loadline.dev/model-deployment"
"""Label on every child: the name of the ModelDeployment that owns it."""
REVISION: Final = "loadline.dev/revision"
"""Label on what belongs to one revision: its name, ten hexadecimal digits."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE: Final = "loadline"
APP_NAME: Final = "app.kubernetes.io/name"
APP_NAME_VALUE: Final = "loadline-serving"

APPLIED_HASH: Final = "loadline.dev/applied-hash"
"""Annotation on every child: a hash of the manifest that was applied, by which an unchanged one is skipped."""

ARM_HEADER: Final = "x-loadline-arm"
"""Request header that the gateway sets: which arm of the route answers, ``stable`` or ``canary``."""
MODEL_HEADER: Final = "loadline-model"
"""gRPC metadata key that addresses a model: ``<namespace>/<name>``."""
