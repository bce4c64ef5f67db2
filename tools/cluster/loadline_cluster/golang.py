"""How does a program come out of a Go module?"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from loadline_cluster import paths
from loadline_cluster.debian import temporary_folder
from loadline_cluster.run import run

ENVIRONMENT = {"GOFLAGS": "-trimpath -mod=mod", "CGO_ENABLED": "0"}
"""The same for every build, so that Go's own cache serves them all; static programs fit images `FROM scratch`."""

REMEDY = "Go ≥ 1.25 must be on PATH and reach its module proxy (`go env GOPROXY`); what was built so far is kept"
BUILD_DEADLINE = 3600.0


def install(package: str, version: str) -> Path:
    """Build the program of `package` at `version` unless it is there; return its path."""
    name = program_name(package)
    store = paths.made(paths.cache() / "programs" / f"{name}-{version}")
    if not (store / name).exists():
        with temporary_folder(f"install-{name}") as folder:
            command = ["go", "install", "-v", "-ldflags", "-s -w", f"{package}@{version}"]
            run(command, deadline=BUILD_DEADLINE, remedy=REMEDY, env={**ENVIRONMENT, "GOBIN": str(folder)})
            _keep(folder / name, store)
    return store / name


def build(  # the programs of one module that this tool holds as data
    module: Path, packages: Sequence[str], store: Path, *, ldflags: str, tags: str = ""
) -> None:
    """Build `packages` in a copy of `module` into `store`, each unless it is there."""
    missing = [package for package in packages if not (store / program_name(package)).exists()]
    if not missing:
        return
    with temporary_folder("build") as folder:
        source = Path(shutil.copytree(module, folder / "source"))
        programs = paths.made(folder / "programs")
        command = ["go", "build", "-v", "-ldflags", ldflags, "-tags", tags, "-o", f"{programs}/", *missing]
        run(command, deadline=BUILD_DEADLINE, remedy=REMEDY, env=ENVIRONMENT, cwd=source)
        for program in programs.iterdir():
            _keep(program, store)


def module_folder(module: str, version: str) -> Path:
    """Download a module and return the folder of its files, which must not be changed."""
    out = run(["go", "mod", "download", "-json", f"{module}@{version}"], deadline=600, remedy=REMEDY)
    return Path(str(json.loads(out)["Dir"]))


def _keep(program: Path, store: Path) -> None:
    """Move a finished program into the store in one step, so that a half-written one is never found there."""
    arriving = paths.made(store) / f".{program.name}.{os.getpid()}"
    shutil.move(program, arriving)
    arriving.rename(store / program.name)


def program_name(package: str) -> str:
    """What Go calls the program: the last part of the path that is no major version."""
    parts = [part for part in package.split("/") if not (part[:1] == "v" and part[1:].isdigit())]
    return parts[-1]
