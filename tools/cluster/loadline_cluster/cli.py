"""Which commands does a person have?"""

import argparse
import fcntl
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from loadline_cluster import (
    base_image,
    cluster,
    engine,
    gateway,
    kernel,
    kwok,
    leftovers,
    loading,
    node_image,
    paths,
    programs,
    project_images,
    schemas,
    third_party,
)
from loadline_cluster.errors import ClusterToolError
from loadline_cluster.steps import step

Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; say what went wrong and what to do if it fails."""
    parsed = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)  # so that temporary folders and running commands end with us
    try:
        parsed.command(parsed)
    except ClusterToolError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def up(parsed: Arguments) -> None:
    """Raise a cluster with everything in it that the chart builds on."""
    started = time.monotonic()
    with _alone("build"):
        _engine()
        programs.ensure(for_tests=False)
        image = node_image.ensure()
        base_image.ensure()
        third_party.ensure()
    with _alone(parsed.name):
        cluster.ensure(parsed.name, image=image, port=_port(parsed), recreate=parsed.recreate)
        loading.ensure(parsed.name, [image.image for image in third_party.IMAGES])
        gateway.ensure(parsed.name)
        leftovers.remove(image)
    took = time.monotonic() - started
    print(f"Cluster {parsed.name} is up ({took:.1f} s); its gateway: localhost:{cluster.port(parsed.name)}")


def down(parsed: Arguments) -> None:
    """Remove a cluster, and end the engine where this tool started it."""
    if engine.answers():
        with step(f"remove {parsed.name}", "everything in it goes; the caches stay") as under_way:
            if cluster.inspect(parsed.name):
                cluster.remove(parsed.name)
            else:
                under_way.already("no such cluster")
    if parsed.engine:
        with step("engine", "it was asked for") as under_way:
            if not engine.stop():
                under_way.already("left alone: this tool did not start it")


def status(parsed: Arguments) -> None:
    """Say what is there."""
    if not engine.answers():
        print("No Docker engine answers")
        return
    for name in [parsed.name] if parsed.name else cluster.NAMES:
        found = cluster.inspect(name)
        reached = any(node.running and node.name == f"{name}-control-plane" for node in found)
        print(f"{name}: {f'gateway at localhost:{cluster.port(name)}' if reached else 'not running'}")
        for node in found:
            print(f"  {node.name}  {'running' if node.running else 'stopped'}  {node.image}")


def images(parsed: Arguments) -> None:
    """Build the project's images whose contents changed, or print their names."""
    if parsed.print:
        print(json.dumps(project_images.names(), indent=2) if parsed.print == "json" else project_images.values())
        return
    with _alone("build"):
        _engine()
        base_image.ensure()
        project_images.ensure(parsed.images or list(project_images.DOCKERFILES))


def load(parsed: Arguments) -> None:
    """Bring the project's images, or those named, to the nodes of a cluster."""
    if parsed.images:
        loading.ensure(parsed.name, parsed.images)
        return
    for name in project_images.DOCKERFILES:
        image = project_images.image_of(name).image
        loading.ensure(parsed.name, [image], only_control_plane=name in project_images.ON_CONTROL_PLANE)


def install_programs(_: Arguments) -> None:
    """Put the programs of people and tests into one folder."""
    with _alone("build"):
        programs.ensure(for_tests=True)
    print(paths.programs())


def environment(parsed: Arguments) -> None:
    """Print lines for a shell: `eval "$(python -m loadline_cluster env)"`."""
    for key, value in {
        "KUBECONFIG": str(paths.kubeconfig(parsed.name)),
        "LOADLINE_CLUSTER": parsed.name,
        "LOADLINE_GATEWAY": f"http://localhost:{cluster.port(parsed.name)}",
    }.items():
        print(f"export {key}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(str(paths.programs()))}:$PATH")


def write_schemas(parsed: Arguments) -> None:
    """Write kubeconform's schemas, and print the location to give it."""
    print(schemas.write(parsed.name, parsed.crds) / schemas.LOCATION)


def fake_nodes(parsed: Arguments) -> None:
    """Start or stop kwok."""
    if parsed.stop:
        kwok.stop(parsed.name)
    else:
        kwok.start(parsed.name, count=parsed.nodes)


def _engine() -> None:
    with step("engine", "images and nodes are containers") as under_way:
        for raised in kernel.ensure():
            under_way.note(raised)
        if engine.answers():
            under_way.already("one answers")
        else:
            under_way.note("none answers: Debian's is started")
            engine.start()


def _port(parsed: Arguments) -> int:
    if parsed.port is not None:
        return int(parsed.port)
    return 8080 if parsed.name == cluster.DEMO else 0


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """Let one run at a time do this."""
    with (paths.made(paths.cache()) / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another run of this tool is at work ({what}); waiting for its end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadline_cluster", description="Loadline's development cluster")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Callable[[Arguments], None], *, named: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=(does.__doc__ or "").splitlines()[0], description=does.__doc__)
        added.set_defaults(command=does)
        if named:
            added.add_argument("--name", type=_cluster_name, default=cluster.DEMO)
        return added

    raised = command("up", up)
    raised.add_argument("--port", type=int, help="of the gateway on this machine; 0 for a free one")
    raised.add_argument("--recreate", action="store_true", help="make the cluster anew, without what it holds")
    command("down", down).add_argument(
        "--engine", action="store_true", help="end the engine too, if this tool started it"
    )
    command("status", status, named=False).add_argument("--name", type=_cluster_name)
    built = command("images", images, named=False)
    usual, besides = ", ".join(project_images.DOCKERFILES), ", ".join(project_images.ON_REQUEST)
    built.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {usual}, which is the default, and {besides}")
    built.add_argument("--print", nargs="?", const="json", choices=("json", "values"), help="only print the names")
    command("load", load).add_argument("images", nargs="*", metavar="IMAGE", help="full references; default ours")
    command("programs", install_programs, named=False)
    _add_answer(command, "kubeconfig", "Print the path of the kubeconfig.", lambda name: str(paths.kubeconfig(name)))
    _add_answer(command, "port", "Print the port of the gateway on this machine.", lambda name: str(cluster.port(name)))
    command("env", environment)
    written = command("schemas", write_schemas)
    written.add_argument("--crds", type=Path, default=paths.REPOSITORY / "crds", help="a folder of CRDs to add")
    faked = command("kwok", fake_nodes)
    faked.add_argument("--nodes", type=int, default=10)
    faked.add_argument("--stop", action="store_true")
    return parser


def _cluster_name(text: str) -> str:
    """Only clusters of this name are ours to make and remove."""
    if not re.fullmatch(r"loadline(-[a-z0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not `loadline` or `loadline-…`")
    return text


def _add_answer(
    command: Callable[[str, Callable[[Arguments], None]], argparse.ArgumentParser],
    name: str,
    says: str,
    answer: Callable[[str], str],
) -> None:
    def print_answer(parsed: Arguments) -> None:
        print(answer(parsed.name))

    print_answer.__doc__ = says
    command(name, print_answer)
