"""Only node images that nobody needs are removed."""

from loadline_cluster import leftovers


def test_node_images_of_earlier_recipes_go_and_those_in_use_and_others_stay() -> None:
    listed = [
        "loadline/node:v1-new",
        "loadline/node:v1-old",
        "loadline/node:v1-running",
        "loadline/node-root:old",
        "python:3",
    ]
    keep = {"docker.io/loadline/node:v1-new", "loadline/node:v1-running"}
    assert leftovers.unneeded(listed, repository="loadline/node", keep=keep) == [
        "loadline/node:v1-old",
        "loadline/node-root:old",
    ]
