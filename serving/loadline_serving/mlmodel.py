"""Which ONNX file does an MLmodel file name?

MLflow writes it as YAML in block style. The two lines that matter are found by their indentation, which spares the
serving image a YAML library; what is written in another style gets a fault that says so.
"""

import json
import re
from collections.abc import Mapping

from loadline_contracts.conditions import Reason

from loadline_serving.errors import StartupFault

DESCRIPTION = "MLmodel"
_LINE = re.compile(r"(?P<indent> *)(?P<key>[\w.-]+|'[^']*'|\"[^\"]*\"):(?: +(?P<value>.*?))?\s*")
_LOG_IT = "convert it to ONNX and log it with mlflow.onnx.log_model"


def onnx_entry(description: str, what: str) -> str:
    """The path of the ONNX file; a fault that names the flavours which are there instead."""
    flavors = _flavors(description)
    if "onnx" not in flavors:
        raise StartupFault(
            Reason.NOT_SERVABLE,
            f"{what} has no ONNX flavour; its {DESCRIPTION} lists {', '.join(flavors) or 'none'}; {_LOG_IT}",
        )
    if not (entry := flavors["onnx"].get("data")):
        raise StartupFault(
            Reason.NOT_SERVABLE,
            f"the {DESCRIPTION} of {what} names no file as the data of its ONNX flavour, or not as MLflow writes it; "
            "log the model again",
        )
    return entry


def _flavors(description: str) -> Mapping[str, Mapping[str, str]]:
    """The plain values of each flavour, by its name."""
    found: dict[str, dict[str, str]] = {}
    inside = False
    flavor_indent: int | None = None
    current: dict[str, str] = {}
    for line in description.splitlines():
        if not (match := _LINE.fullmatch(line)):
            continue
        indent, key = len(match["indent"]), _plain(match["key"])
        if not indent:
            inside, flavor_indent = key == "flavors", None
        elif inside and flavor_indent in {None, indent}:
            flavor_indent = indent
            current = found.setdefault(key, {})
        elif inside and indent == (flavor_indent or 0) * 2:
            current[key] = _plain(match["value"] or "")
    return found


def _plain(text: str) -> str:
    if text.startswith("'") and text.endswith("'") and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            return ""
    return text
