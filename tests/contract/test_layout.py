import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AT_THE_ROOT = {
    "operators", "serving", "platform", "charts", "crds", "tests", "docs", "tools", "examples", "requirements",
    "pyproject.toml", "Makefile", "kind-config.yaml", "README.md", "LICENSE", "CHANGELOG.md",
}  # fmt: skip


def test_the_folder_called_platform_does_not_hide_pythons_own_module() -> None:
    assert platform.system() == "Linux"
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not [path for path in (ROOT / "tests").rglob("platform") if path.is_dir()]
    assert not list((ROOT / "platform").rglob("conftest.py"))
    assert not list((ROOT / "platform").rglob("test_*.py"))


def test_the_root_holds_what_a_reader_expects_and_nothing_else() -> None:
    asked = ["git", "-C", str(ROOT), "ls-files"]
    committed = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    found = {path.split("/")[0] for path in committed if not path.startswith(".")}

    assert found == AT_THE_ROOT


def test_no_committed_file_names_a_registry_host_or_a_developers_folder() -> None:
    forbidden = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "proxy.golang" + ".org",
        "/work" + "/main",
        "/root" + "/.pyenv",
        "/root" + "/go",
    ]
    for words in forbidden:
        asked = ["git", "-C", str(ROOT), "grep", "-lF", words]
        found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60).stdout
        assert found == "", f"{words} stands in {found}"
