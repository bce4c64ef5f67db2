"""Whether the two serving images differ in their runtime alone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pinned(name: str) -> dict[str, str]:
    """What a requirement file installs with Python 3.11 on Linux."""
    lines = re.findall(r"^([\w.-]+)==(\S+)(.*)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    return {distribution: version for distribution, version, marker in lines if ">=" not in marker}


def test_the_image_for_gpus_holds_what_the_usual_one_holds_but_for_the_runtime() -> None:
    usual, cuda = pinned("serving"), pinned("serving-gpu")
    del usual["onnxruntime"], cuda["onnxruntime-gpu"]

    assert {name: version for name, version in cuda.items() if not name.startswith("nvidia-")} == usual


def test_the_image_for_gpus_brings_cuda_and_cudnn_itself() -> None:
    names = " ".join(pinned("serving-gpu"))

    assert "nvidia-cuda-runtime" in names
    assert "nvidia-cudnn" in names


def test_the_dockerfiles_of_the_two_images_differ_in_their_requirements_and_what_a_gpu_needs() -> None:
    usual, cuda = ((ROOT / "serving" / name).read_text() for name in ("Dockerfile", "Dockerfile.gpu"))
    told = [line for line in cuda.replace("serving-gpu", "serving").splitlines() if not line.startswith("#")]
    more = [line for line in told if line.startswith("ENV NVIDIA_DRIVER_CAPABILITIES=")]

    assert len(more) == 1
    assert [line for line in told if line not in more] == usual.splitlines()[1:]
