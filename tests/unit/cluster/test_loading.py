"""Nodes do not fill up with builds of the same image."""

from loadline_cluster import loading


def _row(number: int, loaded: str) -> str:
    image = f"docker.io/loadline/serving:dev-{number}"
    return f"{image} application/json sha256:ab 100.0 MiB linux/amd64 loadline.dev/id=ab{loaded} "


def test_the_newest_builds_stay_and_older_ones_go() -> None:
    listed = "\n".join(_row(number, f",loadline.dev/loaded={1000 + number}") for number in range(loading.KEPT + 2))
    assert loading.outdated(listed) == ["docker.io/loadline/serving:dev-1", "docker.io/loadline/serving:dev-0"]


def test_an_image_that_this_tool_did_not_load_is_left_alone() -> None:
    assert loading.outdated("\n".join(_row(number, "") for number in range(20))) == []
