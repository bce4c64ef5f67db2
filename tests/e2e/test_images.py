"""Our images are small, and run as nobody."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from loadline_cluster import base_image, project_images
from loadline_cluster.image_store import store

MEGABYTE = 10**6
LIMITS = {"serving": 250, "operator": 200}
NOBODY = "65532:65532"


class Archive:
    """An image as it is handed to a node: its configuration and its layers."""

    def __init__(self, image: str, place: Path) -> None:
        store().save(image, place)
        with tarfile.open(place) as archive:
            manifest = json.load(_open(archive, "manifest.json"))[0]
            self.config = json.load(_open(archive, manifest["Config"]))
            sizes = [archive.getmember(layer).size for layer in manifest["Layers"]]
        self.layers: dict[str, int] = dict(zip(self.config["rootfs"]["diff_ids"], sizes, strict=True))
        place.unlink()


def _open(archive: tarfile.TarFile, name: str) -> tarfile.ExFileObject:
    found = archive.extractfile(name)
    assert isinstance(found, tarfile.ExFileObject), name
    return found


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_an_image_adds_little_to_its_base(name: str, limit: int, tmp_path: Path, say: Callable[[str], None]) -> None:
    base = Archive(base_image.IMAGE, tmp_path / "base.tar")
    image = Archive(project_images.image_of(name).image, tmp_path / "image.tar")
    own = sum(size for layer, size in image.layers.items() if layer not in base.layers)
    say(f"{name}: {own / MEGABYTE:.0f} MB beside the base layer of {sum(base.layers.values()) / MEGABYTE:.0f} MB")
    assert own <= limit * MEGABYTE


@pytest.mark.parametrize("name", [*LIMITS, "mlflow"])
def test_an_image_runs_as_nobody(name: str, tmp_path: Path) -> None:
    assert Archive(project_images.image_of(name).image, tmp_path / "image.tar").config["config"]["User"] == NOBODY
