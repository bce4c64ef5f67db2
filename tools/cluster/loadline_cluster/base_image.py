"""Where does the image that all others start from come from?"""

import shutil
import tarfile
from pathlib import Path

from loadline_cluster import debian, fingerprint, image_store, registry, versions
from loadline_cluster.image_store import store
from loadline_cluster.steps import step

IMAGE = versions.BASE_IMAGE
PACKAGES = ("python3", "python3-venv", "ca-certificates")
DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python3"]
"""
RECIPE = fingerprint.of(versions.DEBIAN_SUITE, *PACKAGES, DOCKERFILE)


def ensure() -> None:
    """Pull the base image, or make one of the same name from Debian's packages, so that Dockerfiles build unchanged."""
    with step("base image", f"the Dockerfiles of all images start from {IMAGE}") as under_way:
        if image_store.is_current(IMAGE, RECIPE):
            under_way.already()
        elif found := registry.source(IMAGE):
            image_store.pull(found, IMAGE)
        else:
            under_way.note("no registry has it: made of Debian packages")
            with debian.root_file_system(PACKAGES) as root, debian.temporary_folder("base-image") as context:
                _name_python_as_the_released_image_does(root)
                _write_context(root, context)
                store().build(context, IMAGE, recipe=RECIPE)


def _name_python_as_the_released_image_does(root: Path) -> None:
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")


def _write_context(root: Path, context: Path) -> None:
    shutil.rmtree(root / "dev")  # device nodes; an engine brings its own
    (root / "dev").mkdir()
    with tarfile.open(context / "root.tar", "w") as archive:
        archive.add(root, arcname=".")
    (context / "Dockerfile").write_text(DOCKERFILE)
