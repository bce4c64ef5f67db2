"""Does a short look with the fuzzer find no message that breaks a parser? `make fuzz` looks for longer."""

import os
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[2] / "fuzz"
BOUNDED = ["-runs=15000", "-seed=1", "-max_len=2000", "-max_total_time=10"]


def test_neither_the_corpus_nor_what_the_fuzzer_makes_of_it_breaks_a_parser(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(FUZZ.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = subprocess.run(
        [sys.executable, FUZZ / "parsers.py", *BOUNDED, f"-dict={FUZZ / 'words.dict'}", tmp_path, FUZZ / "corpus"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-4000:]
    assert "DONE" in said.stderr
