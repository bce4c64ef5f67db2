"""What are the columns of a model's table called?

ONNX has no place for it, so exporters agree on none. Two are looked at: `feature_names` in the file's own metadata, a
JSON list, and the signature in the `MLmodel` file that MLflow keeps beside the model.
"""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from loadline_serving.signature import Signature

log = logging.getLogger(__name__)

METADATA_KEY = "feature_names"
_MLMODEL = "MLmodel"
_MAX_BYTES = 256 << 10
# MLflow writes the signature's columns as JSON in a single-quoted text of YAML, folded where the line gets long.
_SIGNATURE_INPUTS = re.compile(r"^signature:\n(?: .*\n)*? +inputs: '((?:[^']|'')*)'", re.MULTILINE)
_FOLD = re.compile(r"\n\s*")


def names(metadata: Mapping[str, str], folder: Path, signature: Signature) -> tuple[str, ...]:
    """The names, if somebody gives one for each column of the model's single input."""
    specs = list(signature.inputs.values())
    if len(specs) != 1 or len(specs[0].shape) != 2:
        return ()
    for where, text in ((f"metadata {METADATA_KEY}", metadata.get(METADATA_KEY)), (_MLMODEL, _mlflow_inputs(folder))):
        found = _named(text) if text is not None else ()
        if len(found) == specs[0].shape[1] and len(set(found)) == len(found):
            return found
        if not found:
            continue
        log.warning("Ignored column names", extra={"where": where, "names": len(found), "columns": specs[0].shape[1]})
    return ()


def _mlflow_inputs(folder: Path) -> str | None:
    path = folder / _MLMODEL
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return None
    match = _SIGNATURE_INPUTS.search(path.read_text(encoding="utf-8", errors="replace"))
    return _FOLD.sub(" ", match[1]).replace("''", "'") if match else None


def _named(text: str) -> tuple[str, ...]:
    """The names in a JSON list of texts, or of objects with a name as MLflow writes them; nothing if it is neither."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(items, list):
        return ()
    found = [item.get("name") if isinstance(item, dict) else item for item in items]
    return tuple(name for name in found if isinstance(name, str))
