"""Which node images, a gigabyte each, does nobody need any more?"""

from loadline_cluster import versions
from loadline_cluster.run import run


def remove(current: str) -> None:
    """Remove the node images of earlier recipes that no cluster runs on."""
    repository = versions.OWN_NODE_IMAGE.rpartition(":")[0].removeprefix("docker.io/")
    listed = run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], deadline=30).split()
    in_use = set(run(["docker", "ps", "-a", "--format", "{{.Image}}"], deadline=30).split())
    for image in unneeded(listed, repository=repository, keep={current, *in_use}):
        run(["docker", "rmi", image], deadline=120)


def unneeded(listed: list[str], *, repository: str, keep: set[str]) -> list[str]:
    """Of the images listed, those that this tool built for nodes and that are not to be kept."""
    kept = {image.removeprefix("docker.io/") for image in keep}
    ours = (f"{repository}:", f"{repository}-root:")
    return [image for image in listed if image.startswith(ours) and image not in kept]
