"""Do Services keep their addresses for longer than a test runs?"""

import json

import pytest
from support.cluster import Cluster


@pytest.mark.parametrize("name", ["service-ips", "service-nodeports"])
def test_kube_proxy_knows_its_own_rules_again(cluster: Cluster, name: str) -> None:
    """What it does not find under the names that it gave it deletes in its full sync, an hour after it started."""
    for proxy in cluster.list("Pod", "kube-system", selector="k8s-app=kube-proxy"):
        listing = ("nft", "--json", "list", "map", "ip", "kube-proxy", name)
        said = cluster.kubectl("exec", "--namespace=kube-system", proxy["metadata"]["name"], "--", *listing)
        (rules,) = (entry["map"]["elem"] for entry in json.loads(said)["nftables"] if "map" in entry)
        protocols = {part for key, _ in rules for part in key["concat"] if part in {"tcp", "udp", 6, 17}}
        assert protocols, rules
        assert protocols <= {"tcp", "udp"}
