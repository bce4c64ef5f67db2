"""The cluster is what kind-config.yaml says, plus what only the tool knows."""

import pytest
import yaml
from loadline_cluster import cluster, paths, versions


def test_a_test_cluster_takes_its_name_image_and_port_and_nothing_else() -> None:
    config = cluster.configuration("loadline-test", image="some/node:1", port=0)
    assert config["name"] == "loadline-test"
    assert [node["image"] for node in config["nodes"]] == ["some/node:1"] * 3
    assert config["nodes"][0]["extraPortMappings"][0]["hostPort"] == 0


def test_the_shared_configuration_has_the_pod_network_that_the_node_image_masquerades_for() -> None:
    config = yaml.safe_load((paths.REPOSITORY / "kind-config.yaml").read_text())
    assert config["networking"]["podSubnet"] == versions.POD_SUBNET


def test_the_shared_configuration_maps_the_gateways_node_port() -> None:
    config = yaml.safe_load((paths.REPOSITORY / "kind-config.yaml").read_text())
    assert config["nodes"][0]["extraPortMappings"][0]["containerPort"] == versions.GATEWAY_NODE_PORT


def test_the_shared_configuration_names_no_image_so_that_docker_users_get_the_released_one() -> None:
    config = yaml.safe_load((paths.REPOSITORY / "kind-config.yaml").read_text())
    assert all("image" not in node for node in config["nodes"])


@pytest.mark.parametrize("role", ["control-plane", "worker"])
def test_one_control_plane_and_two_workers_make_the_cluster(role: str) -> None:
    config = cluster.configuration("loadline", image="some/node:1", port=8080)
    assert role in [node["role"] for node in config["nodes"]]
    assert len(config["nodes"]) == 3
