"""Would the runtime serve this model, and how?"""

import json
import signal
import subprocess
import sys
from pathlib import Path

from loadline_contracts.conditions import Reason
from pydantic import TypeAdapter, ValidationError

from loadline_serving.check_report import refused, report
from loadline_serving.errors import StartupFault
from loadline_serving.examination import Findings, Refusal
from loadline_serving.locate import locate
from loadline_serving.screen import Screen

EXAMINATION_SECONDS = 900
"""A model that is not loaded and run by then is not one to serve."""
_FOUND: TypeAdapter[Findings | Refusal] = TypeAdapter(Findings | Refusal)


def check(word: str, *, sha256: str | None, threads: int, as_json: bool, screen: Screen, ca_bundle: Path | None) -> int:
    """Print what the runtime would do with a model; 1 if it would not serve it."""
    try:
        entry = locate(word, sha256=sha256, screen=screen, ca_bundle=ca_bundle).entry
        found = _examine(entry, threads, screen)
        title = word if entry.name in word else f"{word} ({entry.name})"
    except StartupFault as fault:
        found, title = Refusal(reason=fault.reason.value, cause=fault.message), word
    if as_json:
        text = json.dumps({"model": word} | found.model_dump(), indent=2)
    elif isinstance(found, Refusal):
        text = refused(title, found)
    else:
        text = report(title, found)
    sys.stdout.write(text + "\n")
    return 0 if found.servable else 1


def _examine(entry: Path, threads: int, screen: Screen) -> Findings | Refusal:
    screen.progress(f"Loading and running {entry.name} …")
    command = [sys.executable, "-m", "loadline_serving.examination", str(entry.resolve()), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=EXAMINATION_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Refusal(
            reason=Reason.MODEL_LOAD_FAILED.value,
            cause=f"{entry.name} was not loaded and run within {EXAMINATION_SECONDS} s",
        )
    finally:
        screen.clear()
    try:
        return _FOUND.validate_json(done.stdout)
    except ValidationError:
        return _crash(entry, done.returncode, done.stderr.decode(errors="replace"))


def _crash(entry: Path, code: int, said: str) -> Refusal:
    if code == -signal.SIGKILL:
        cause = f"the process that loaded {entry.name} was killed, as happens when memory runs out"
        return Refusal(reason=Reason.OUT_OF_MEMORY.value, cause=cause)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    last = said.strip().rpartition("\n")[2]
    cause = f"the runtime crashed on {entry.name} ({how}): {last}".rstrip(": ")
    return Refusal(reason=Reason.MODEL_LOAD_FAILED.value, cause=cause)
