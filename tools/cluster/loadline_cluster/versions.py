"""Which version of everything does the cluster run?"""

from typing import Final

KUBERNETES: Final = "v1.36.3"
CONTAINERD: Final = "v2.2.0"
ETCD: Final = "v3.6.8"
COREDNS: Final = "v1.14.2"
PAUSE: Final = "3.10.2"
KIND: Final = "v0.33.0"
LOCAL_PATH_PROVISIONER: Final = "v0.0.30"

ENVOY_GATEWAY: Final = "v1.9.1"
ENVOY: Final = "1.40.0"
VERSITYGW: Final = "v1.8.0"

HELM: Final = "v3.22.0"
KUBECONFORM: Final = "v0.8.0"
KWOK: Final = "v0.7.0"
VEGETA: Final = "v12.13.0"

DEBIAN_SUITE: Final = "bookworm"
BASE_IMAGE: Final = "docker.io/library/python:3.11-slim-bookworm"
RELEASED_NODE_IMAGE: Final = f"docker.io/kindest/node:{KUBERNETES}"
OWN_NODE_IMAGE: Final = f"docker.io/loadline/node:{KUBERNETES}"
"""What this tool builds is tagged apart from the released image: `<this>-<hash of its recipe>`."""

POD_SUBNET: Final = "10.244.0.0/16"
GATEWAY_NODE_PORT: Final = 30080
