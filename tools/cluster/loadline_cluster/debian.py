"""How do Debian's packages come to this machine, or into a folder?"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadline_cluster import paths, versions
from loadline_cluster.errors import MissingProgramError
from loadline_cluster.run import run


def require(programs: Mapping[str, str]) -> None:
    """Install the packages of those programs (program to package) that are missing."""
    missing = {program: package for program, package in programs.items() if not _found(program)}
    if not missing:
        return
    packages = sorted(set(missing.values()))
    by_hand = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingProgramError(" or ".join(missing), f"as root: {by_hand}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], deadline=300, env=quiet, remedy="check the sources in /etc/apt")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    run(install, deadline=600, env=quiet, remedy=f"find out why this fails: {by_hand}")


@contextmanager
def root_file_system(packages: Sequence[str]) -> Iterator[Path]:
    """Give a folder that holds a minimal Debian with `packages`; it is removed afterwards."""
    require({"debootstrap": "debootstrap"})
    with temporary_folder("debian") as folder:
        kept = paths.made(paths.cache() / "debian")
        command = ["debootstrap", "--variant=minbase", f"--cache-dir={kept}", f"--include={','.join(packages)}"]
        command += [versions.DEBIAN_SUITE, str(folder / "root"), *_mirror()]
        run(
            command,
            deadline=900,
            remedy="see debootstrap/debootstrap.log below the cache's tmp, and the mirror's state",
        )
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(folder / "root" / leftover, ignore_errors=True)
        yield folder / "root"


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Give a folder that is removed afterwards, also on failure."""
    with tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=paths.temporary()) as name:
        yield Path(name)


def _found(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _mirror() -> list[str]:
    """The mirror that this machine installs from; debootstrap knows a default."""
    for source in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if source.is_file() and (found := mirror_in(source.read_text())):
            return [found]
    return []


def mirror_in(sources: str) -> str:
    """The first mirror that a file of apt sources names, in either of its two forms."""
    for line in sources.splitlines():
        words = line.split()
        if words[:1] in (["URIs:"], ["deb"]):
            return next((word for word in words if word.startswith("http")), "")
    return ""
