"""Which images does this working tree make, and under which tag?"""

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from loadline_cluster import base_image, debian, fingerprint, image_store, paths, third_party
from loadline_cluster.errors import ClusterToolError
from loadline_cluster.image_store import store
from loadline_cluster.steps import step

DOCKERFILES = {
    "serving": "serving/Dockerfile",
    "operator": "operators/Dockerfile",
    "mlflow": "platform/registry/Dockerfile",
}
ON_REQUEST = {"serving-gpu": "serving/Dockerfile.gpu"}
"""Images that are built only where they are named, since they are large and few clusters can run them."""
ON_CONTROL_PLANE = frozenset({"mlflow"})
"""Images that run nowhere else: the chart's values for kind put them there, beside their volumes."""


@dataclass(frozen=True, kw_only=True)
class ProjectImage:
    """One of our images: the Dockerfile, and exactly the files that it copies."""

    name: str
    dockerfile: Path
    sources: tuple[Path, ...]
    """Relative to the root of the working tree, in the order of the Dockerfile."""

    @property
    def recipe(self) -> str:
        """The hash of all that goes in."""
        names = (str(source) for source in self.sources)
        contents = (paths.REPOSITORY / source for source in self.sources)
        return fingerprint.of(base_image.RECIPE, self.dockerfile, *names, *contents)

    @property
    def image(self) -> str:
        """The reference, whose tag follows the contents."""
        return f"docker.io/loadline/{self.name}:dev-{self.recipe}"


def image_of(name: str) -> ProjectImage:
    """Read the Dockerfile of one image."""
    place = _place(name)
    dockerfile = paths.REPOSITORY / place
    if not dockerfile.is_file():
        raise ClusterToolError(f"The image {name} has no {place}\n  What to do: restore it, or name other images")
    sources = tuple(Path(source) for source in copied_paths(dockerfile.read_text()))
    for source in sources:
        if not (paths.REPOSITORY / source).exists():
            raise ClusterToolError(f"{place} copies {source}, which is not there\n  What to do: correct the COPY")
    return ProjectImage(name=name, dockerfile=dockerfile, sources=sources)


def _place(name: str) -> str:
    """Where the Dockerfile of an image lies."""
    known = {**DOCKERFILES, **ON_REQUEST}
    if name not in known:
        raise ClusterToolError(f"There is no image {name}\n  What to do: name some of {', '.join(known)}")
    return known[name]


def copied_paths(dockerfile: str) -> list[str]:
    """What a Dockerfile takes from its context, by COPY, ADD or a bind mount."""
    taken: list[str] = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or any(word.startswith("--from=") for word in words):
            continue
        if words[0].upper() in {"COPY", "ADD"}:
            taken += [word for word in words[1:-1] if not word.startswith("--")]
        if words[0].upper() == "RUN":
            taken += [source for word in words if (source := _bound(word))]
    return [path.removeprefix("./").rstrip("/") for path in taken]


def names() -> dict[str, str]:
    """The references of all images that the chart needs."""
    own = {name: image_of(name).image for name in DOCKERFILES}
    return {**own, **{name: image.image for name, image in _FOR_THE_CHART.items()}}


def values() -> str:
    """The same as a Helm values file (JSON is YAML)."""
    return json.dumps({"images": names()}, indent=2)


def ensure(selected: list[str]) -> None:
    """Build those images whose contents changed."""
    for name in selected:
        image = image_of(name)
        with step(f"image loadline/{name}", f"{_place(name)} with what it copies") as under_way:
            under_way.note(image.image)
            if image_store.is_current(image.image, image.recipe):
                under_way.already("nothing changed")
            else:
                _build(image)


def _build(image: ProjectImage) -> None:
    """Build in a context that holds what the hash covers and nothing else."""
    with debian.temporary_folder("context") as context:
        for source in image.sources:
            for file in fingerprint.files(paths.REPOSITORY / source):
                place = context / file.relative_to(paths.REPOSITORY)
                shutil.copy2(file, paths.made(place.parent))
        shutil.copy2(image.dockerfile, context / "Dockerfile")
        if image_of(image.name).recipe != image.recipe:
            remedy = "run it again when nobody writes to them"
            raise ClusterToolError(f"The files of {image.name} changed while they were copied\n  What to do: {remedy}")
        store().build(context, image.image, recipe=image.recipe)


def _bound(word: str) -> str:
    """The source of a word like --mount=type=bind,source=requirements,target=/requirements."""
    if not word.startswith("--mount=type=bind"):
        return ""
    fields = dict(field.partition("=")[::2] for field in word.split(","))
    return fields.get("source") or fields.get("src") or ""


_FOR_THE_CHART = {"envoy": third_party.ENVOY, "store": third_party.VERSITYGW}
