"""Does a model run where it was told to, and nowhere else?"""

from pathlib import Path

import numpy as np
import pytest
from loadline_contracts.conditions import Reason
from loadline_serving.errors import StartupFault
from loadline_serving.made_up import varied_inputs
from loadline_serving.session import RuntimeOptions, load
from loadline_serving.settings import Device
from support import serving_graphs


def written(folder: Path, graph: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(graph)
    return path


def test_where_the_runtime_has_no_cuda_a_gpu_is_refused_and_the_remedy_named(tmp_path: Path) -> None:
    with pytest.raises(StartupFault, match="use the GPU image") as caught:
        load(written(tmp_path, serving_graphs.classifier()), RuntimeOptions(device=Device.GPU))
    assert caught.value.reason is Reason.GPU_UNAVAILABLE


@pytest.mark.parametrize(
    "options",
    [RuntimeOptions(io_binding=True), RuntimeOptions(memory_arena=False, memory_pattern=False)],
    ids=["bound inputs and outputs", "no arena, no pattern"],
)
def test_how_memory_is_handled_changes_no_answer(tmp_path: Path, options: RuntimeOptions) -> None:
    path = written(tmp_path, serving_graphs.classifier())
    usual, other = load(path, RuntimeOptions()), load(path, options)
    names = tuple(usual.signature.outputs)
    for feeds in varied_inputs(usual.signature, rows=5):
        for expected, found in zip(usual.run(names, feeds), other.run(names, feeds), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.gpu
def test_a_gpu_gives_the_answers_of_the_cpu(tmp_path: Path) -> None:
    path = written(tmp_path, serving_graphs.classifier())
    cpu, gpu = load(path, RuntimeOptions()), load(path, RuntimeOptions(device=Device.GPU, io_binding=True))
    names = tuple(cpu.signature.outputs)
    for feeds in varied_inputs(cpu.signature, rows=64):
        for expected, found in zip(cpu.run(names, feeds), gpu.run(names, feeds), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
