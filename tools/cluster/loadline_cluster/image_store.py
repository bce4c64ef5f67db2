"""Where are images built and kept on this machine: in buildah's store, or the engine's?"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from loadline_cluster import debian, paths
from loadline_cluster.run import run, succeeds

RECIPE_LABEL = "loadline.dev/recipe"
CERTIFICATES = Path("/etc/ssl/certs")
BUILD_DEADLINE = 1800.0


class ImageStore(Protocol):
    """What the tool asks of a place that builds and keeps images."""

    def identity(self, image: str) -> str | None:
        """The id of an image that is here; None for one that is not."""

    def recipe(self, image: str) -> str:
        """The recipe that an image was built by; nothing for one that was pulled."""

    def pull(self, source: str, image: str) -> None:
        """Pull `source` and name it `image`."""

    def build(self, context: Path, image: str, *, recipe: str) -> None:
        """Build the Dockerfile of `context`."""

    def save(self, image: str, archive: Path) -> None:
        """Write an archive that containerd imports."""


@dataclass(frozen=True)
class Buildah:
    """buildah: builds with caches and without an engine's build kit."""

    environment: Mapping[str, str]

    def identity(self, image: str) -> str | None:
        """The id of an image that is here; None for one that is not."""
        if not self._succeeds("images", "-q", image):
            return None
        return self._run("images", "-q", "--no-trunc", image, deadline=60).split()[0].removeprefix("sha256:")

    def recipe(self, image: str) -> str:
        """The recipe that an image was built by; nothing for one that was pulled."""
        template = f'{{{{index .OCIv1.Config.Labels "{RECIPE_LABEL}"}}}}'
        return self._run("inspect", "--type", "image", "--format", template, image, deadline=60).strip()

    def pull(self, source: str, image: str) -> None:
        """Pull `source` and name it `image`."""
        # Only a mirror that a person named is asked without TLS, and only one on this machine.
        local = source.startswith(("127.0.0.1", "localhost"))
        self._run("pull", "-q", f"--tls-verify={'false' if local else 'true'}", source, deadline=BUILD_DEADLINE)
        if source != image:
            self._run("tag", source, image, deadline=60)

    def build(self, context: Path, image: str, *, recipe: str) -> None:
        """Build the Dockerfile of `context`."""
        mounts = ["-v", f"{paths.made(paths.cache() / 'pip')}:/root/.cache/pip"]
        if CERTIFICATES.is_dir():  # whom this machine trusts, the builds trust
            mounts += ["-v", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        label = ["--label", f"{RECIPE_LABEL}={recipe}"]
        self._run(
            "bud", "--layers", "--pull-never", *mounts, *label, "-t", image, str(context), deadline=BUILD_DEADLINE
        )

    def save(self, image: str, archive: Path) -> None:
        """Write an archive that containerd imports."""
        self._run("push", "-q", image, f"docker-archive:{archive}:{image}", deadline=300)

    def _run(self, *arguments: str, deadline: float) -> str:
        remedy = "`buildah info` says whether its store works on this machine"
        return run(["buildah", *arguments], deadline=deadline, env=self.environment, remedy=remedy)

    def _succeeds(self, *arguments: str) -> bool:
        return succeeds(["buildah", *arguments], deadline=60, env=self.environment)


@dataclass(frozen=True)
class Docker:
    """The engine's own store, where its client brings buildx."""

    def identity(self, image: str) -> str | None:
        """The id of an image that is here; None for one that is not."""
        if not succeeds(["docker", "image", "inspect", image], deadline=60):
            return None
        return self._run("image", "inspect", "--format", "{{.Id}}", image, deadline=60).strip().removeprefix("sha256:")

    def recipe(self, image: str) -> str:
        """The recipe that an image was built by; nothing for one that was pulled."""
        template = f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}'
        return self._run("image", "inspect", "--format", template, image, deadline=60).strip()

    def pull(self, source: str, image: str) -> None:
        """Pull `source` and name it `image`."""
        self._run("pull", "-q", source, deadline=BUILD_DEADLINE)
        if source != image:
            self._run("tag", source, image, deadline=60)

    def build(self, context: Path, image: str, *, recipe: str) -> None:
        """Build the Dockerfile of `context`."""
        label = ["--label", f"{RECIPE_LABEL}={recipe}"]
        self._run("buildx", "build", "--load", *label, "-t", image, str(context), deadline=BUILD_DEADLINE)

    def save(self, image: str, archive: Path) -> None:
        """Write an archive that containerd imports."""
        self._run("save", "-o", str(archive), image, deadline=300)

    def _run(self, *arguments: str, deadline: float) -> str:
        return run(["docker", *arguments], deadline=deadline, remedy="`docker info` says whether the engine works")


@cache
def store() -> ImageStore:
    """The engine where it can build with caches; buildah otherwise."""
    if succeeds(["docker", "buildx", "version"], deadline=20):
        return Docker()
    debian.require({"buildah": "buildah"})
    rootful = {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"} if os.geteuid() == 0 else {}
    return Buildah(environment=rootful)


def is_current(image: str, recipe: str) -> bool:
    """Say whether `image` is here, either pulled by this tool or built by this very recipe."""
    identity = store().identity(image)
    if identity is None:
        return False
    pulled = _pulled(image)
    return store().recipe(image) == recipe or (pulled.exists() and pulled.read_text() == identity)


def pull(source: str, image: str) -> None:
    """Pull `source`, name it `image`, and remember that it is not to be built."""
    store().pull(source, image)
    _pulled(image).write_text(store().identity(image) or "")


def _pulled(image: str) -> Path:
    return paths.made(paths.cache() / "pulled") / image.replace("/", "_")
