"""The tag of an image follows what its Dockerfile copies."""

from pathlib import Path

import pytest
from loadline_cluster import paths, project_images
from loadline_cluster.errors import ClusterToolError

DOCKERFILE = """\
FROM base AS build
COPY requirements/serving.txt \\
     ./serving/pyproject.toml /build/
RUN --mount=type=bind,source=platform/contracts,target=/contracts \\
    --mount=type=cache,target=/root/.cache/pip pip install /contracts  # COPY nothing/here
FROM base
COPY --from=build /venv /venv
COPY --chown=65532:65532 serving/loadline_serving/ /app/
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree with one image."""
    for file, text in {
        "serving/Dockerfile": "FROM base\nCOPY serving/app /app\n",
        "serving/app/main.py": "print('hello')\n",
        "serving/README.md": "About.\n",
    }.items():
        paths.made((tmp_path / file).parent)
        (tmp_path / file).write_text(text)
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    return tmp_path


def test_everything_that_comes_from_the_context_is_found() -> None:
    assert project_images.copied_paths(DOCKERFILE) == [
        "requirements/serving.txt",
        "serving/pyproject.toml",
        "platform/contracts",
        "serving/loadline_serving",
    ]


def test_a_file_that_is_copied_changes_the_tag(tree: Path) -> None:
    before = project_images.image_of("serving").image
    (tree / "serving/app/main.py").write_text("print('good day')\n")
    assert project_images.image_of("serving").image != before


def test_a_file_that_is_not_copied_leaves_the_tag(tree: Path) -> None:
    before = project_images.image_of("serving").image
    (tree / "serving/README.md").write_text("More about.\n")
    assert project_images.image_of("serving").image == before


def test_a_change_of_the_dockerfile_changes_the_tag(tree: Path) -> None:
    before = project_images.image_of("serving").image
    (tree / "serving/Dockerfile").write_text("FROM base\nCOPY serving/app /srv\n")
    assert project_images.image_of("serving").image != before


def test_a_tag_is_dev_and_twelve_hex_digits(tree: Path) -> None:
    assert tree.exists()
    name, _, tag = project_images.image_of("serving").image.rpartition(":")
    assert name == "docker.io/loadline/serving"
    assert tag.startswith("dev-")
    assert len(bytes.fromhex(tag.removeprefix("dev-"))) == 6


def test_a_copy_of_what_is_not_there_is_refused_with_its_name(tree: Path) -> None:
    (tree / "serving/Dockerfile").write_text("FROM base\nCOPY serving/gone /gone\n")
    with pytest.raises(ClusterToolError, match="copies serving/gone, which is not there"):
        project_images.image_of("serving")


def test_the_image_for_gpus_is_built_only_where_it_is_named() -> None:
    assert "serving-gpu" not in project_images.names()
    assert project_images.image_of("serving-gpu").image.startswith("docker.io/loadline/serving-gpu:dev-")


def test_an_image_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        ClusterToolError, match=r"There is no image serving-tpu\n.*serving, operator, mlflow, serving-gpu"
    ):
        project_images.image_of("serving-tpu")
