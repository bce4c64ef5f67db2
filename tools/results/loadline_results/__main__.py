"""The command: say which results are old, or make the page of them anew."""

import argparse
import sys
from pathlib import Path

from loadline_results import lines
from loadline_results.age import judge
from loadline_results.page import with_results
from loadline_results.repository import Repository
from loadline_results.result import FOLDER, read_all

PAGE = Path("docs/performance.md")


def main() -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadline_results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say which results are older than the code they speak of")
    check.add_argument("--strict", action="store_true", help="fail where one is")
    page = commands.add_parser("page", help=f"make the results in {PAGE} anew")
    page.add_argument("--check", action="store_true", help="fail where the page differs, and write nothing")
    chosen = parser.parse_args()
    root = Path.cwd()
    return _check(root, strict=chosen.strict) if chosen.command == "check" else _page(root, dry=chosen.check)


def _check(root: Path, *, strict: bool) -> int:
    repository = Repository(root)
    verdicts = [judge(result, repository) for result in read_all(root / FOLDER)]
    verdicts += lines.judge_all(root / FOLDER, repository)
    for verdict in verdicts:
        print(
            f"{'holds' if verdict.holds else 'OLD  '}  {verdict.name}{': ' if verdict.faults else ''}"
            f"{'; '.join(verdict.faults)}"
        )
    return 1 if strict and not all(verdict.holds for verdict in verdicts) else 0


def _page(root: Path, *, dry: bool) -> int:
    path = root / PAGE
    wanted = with_results(path.read_text(), read_all(root / FOLDER))
    if dry and wanted != path.read_text():
        print(f"{PAGE} does not show {FOLDER}; run: python -m loadline_results page", file=sys.stderr)
        return 1
    if not dry:
        path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
