"""Which models are served, and where do their files lie?"""

import hashlib
import math
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from loadline_contracts.model_files import FILES_FOLDER, MANIFEST_NAME, ModelFile, ModelManifest
from numpy.typing import NDArray

Rows = NDArray[np.float32]
INPUT, OUTPUT = "input", "output"
_ENTRY = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: FP32 in, FP32 out, any number of rows."""

    name: str
    title: str
    row: tuple[int, ...]
    """The shape of one row of its input."""

    def rows(self, seed: int) -> Rows:
        """One row of input, of numbers that JSON writes short."""
        made = np.random.default_rng(seed).standard_normal((1, *self.row))
        return made.round(4).astype(np.float32)

    @property
    def size(self) -> int:
        """The numbers in one row."""
        return math.prod(self.row)


MODELS = (
    Model(name="tabular", title="gradient boosting, 100 trees of depth 3 over 30 features", row=(30,)),
    Model(name="mlp", title="MLP 256-512-512-512-10", row=(256,)),
    Model(name="conv", title="convnet of 4 residual blocks over 3x224x224", row=(3, 224, 224)),
)
BY_NAME = {model.name: model for model in MODELS}


class NoModelsError(RuntimeError):
    """The models could not be made."""


@dataclass(frozen=True)
class ModelFiles:
    """The folder of all models: `NAME/files/model.onnx` and `NAME/manifest.json`, as a pod has them."""

    root: Path

    def folder(self, model: Model) -> Path:
        """What our runtime serves."""
        return self.root / model.name

    def file(self, model: Model) -> Path:
        """What the peers load."""
        return self.folder(model) / FILES_FOLDER / _ENTRY

    def make(self, script: Path, python: Path) -> None:
        """Make the models that are not there; the script is seeded, so that they are the same everywhere."""
        for model in MODELS:
            if (self.folder(model) / MANIFEST_NAME).exists():
                continue
            self.file(model).parent.mkdir(parents=True, exist_ok=True)
            done = subprocess.run([python, script, model.name, self.file(model)], check=False, timeout=600)
            if done.returncode != 0:
                raise NoModelsError(f"{python} {script} {model.name} failed; `make train` makes its environment")
            data = self.file(model).read_bytes()
            file = ModelFile(path=_ENTRY, size=len(data), sha256=hashlib.sha256(data).hexdigest())
            manifest = ModelManifest(entry=_ENTRY, files=(file,))
            (self.folder(model) / MANIFEST_NAME).write_bytes(manifest.canonical_json())

    def prepared(self, model: Model, peer: str) -> Path:
        """Where a peer's own form of a model lies."""
        return self.root / model.name / peer


def expected(file: Path, rows: Rows) -> Rows:
    """What ONNX Runtime says when nothing stands between."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    answer: Rows = session.run([OUTPUT], {INPUT: rows})[0]
    return answer


def prepare(command: list[str], target: Path) -> None:
    """Let a peer make its own form of a model; one that was cut off is made anew."""
    if target.exists():
        return
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    words = [word.replace(str(target), str(partial)) for word in command]
    subprocess.run(words, check=True, timeout=600, env=os.environ | {"PYTHONPATH": ""})
    partial.replace(target)
