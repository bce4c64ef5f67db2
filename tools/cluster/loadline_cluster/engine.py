"""Is there a Docker engine, and if not, how does one come up?"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from loadline_cluster import debian, paths
from loadline_cluster.errors import ClusterToolError
from loadline_cluster.run import run, succeeds

CAP_SYS_RESOURCE = 24
START_DEADLINE = 30.0


def answers() -> bool:
    """Say whether an engine answers."""
    return succeeds(["docker", "info"], deadline=20)


def start() -> None:
    """Start Debian's engine by hand; this needs no systemd, but root."""
    debian.require({"docker": "docker.io", "dockerd": "docker.io", "iptables": "iptables", "jq": "jq", "runc": "runc"})
    if os.geteuid() != 0:
        raise ClusterToolError(
            "No Docker engine answers\n  What to do: start one, or join the group `docker`, or be root"
        )
    run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], deadline=10)
    configuration = _folder() / "daemon.json"
    configuration.write_text(json.dumps(_configuration(), indent=1))
    log = _folder() / "log"
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            ["dockerd", "--config-file", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    _wait_until_it_answers(daemon, log)


def stop() -> bool:
    """End the engine if this tool started it; say whether it did."""
    file = _folder() / "pid"
    process = int(file.read_text()) if file.exists() else 0
    if not process or str(_folder() / "daemon.json") not in _command_line(process):
        return False
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while _command_line(process):
        if time.monotonic() > deadline:
            raise ClusterToolError(
                f"dockerd ({process}) did not end within 60 s\n  What to do: see {_folder() / 'log'}"
            )
        time.sleep(0.2)
    return True


def _configuration() -> dict[str, object]:
    folder = _folder()
    configuration: dict[str, object] = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "pid"),
    }
    if not _may_raise_limits():
        # Privileged containers and negative oom_score_adj values need a capability that this root lacks.
        runtime = Path(shutil.copy2(paths.DATA / "runc-restricted", folder))
        configuration["runtimes"] = {"restricted": {"path": str(runtime)}}
        configuration["default-runtime"] = "restricted"
    return configuration


def _wait_until_it_answers(daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while not answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise ClusterToolError(f"dockerd did not come up:\n{tail}\n  What to do: see {log}")
        time.sleep(0.2)


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(capabilities, 16) >> CAP_SYS_RESOURCE & 1)


def _command_line(process: int) -> str:
    """The command line of a process that runs; nothing for one that does not."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _folder() -> Path:
    return paths.made(paths.cache() / "engine")
