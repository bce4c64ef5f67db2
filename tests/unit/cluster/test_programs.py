"""An installed program is used where its version fits."""

from pathlib import Path

import pytest
from loadline_cluster import golang, programs


@pytest.mark.parametrize(
    ("version", "distance"),
    [("v1.35.9", 1), ("v1.36.0", 0), ("v1.37.1", 1), ("v1.32.4-dispatcher", 4)],
    ids=["one older", "the same minor", "one newer", "four older, with a suffix"],
)
def test_kubectls_distance_is_counted_in_minor_versions(version: str, distance: int) -> None:
    assert programs.minor_distance(version, "v1.36.3") == distance


def test_versions_compare_as_numbers_not_as_text() -> None:
    assert programs.at_least("v3.100.0", "v3.16.0")
    assert not programs.at_least("v3.9.9", "v3.16.0")


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'Client Version: v1.35.2'; echo 'Kustomize Version: v5.7.1'", "v1.35.2"),
        ("echo version 3", None),
        ("echo v1.35.2; exit 1", None),
    ],
    ids=["two versions", "none that is one", "a failure"],
)
def test_a_programs_version_is_the_first_that_it_prints(tmp_path: Path, script: str, version: str | None) -> None:
    installed = tmp_path / "program"
    installed.write_text(f"#!/bin/sh\n{script}\n")
    installed.chmod(0o755)

    assert programs.printed_version([str(installed)]) == version


@pytest.mark.parametrize(
    ("package", "program"),
    [
        ("github.com/tsenart/vegeta/v12", "vegeta"),
        ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
        ("sigs.k8s.io/kind", "kind"),
    ],
    ids=["a major version at the end", "a command of a module", "a module that is one program"],
)
def test_a_program_is_named_as_go_names_it(package: str, program: str) -> None:
    assert golang.program_name(package) == program
