"""How do named columns become the model's inputs: the form of POST /predict?

Rows `{"rows": [{"age": 42, …}, …]}`, columns `{"columns": {"age": [42, …], …}}`, or, for a model that takes no
table, tensors `{"inputs": {"x": [[…]], …}}`; all three with `id` and `outputs` if wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import nan
from operator import itemgetter
from typing import Any

import numpy as np

from loadline_serving.datatypes import DATATYPES, Array, Datatype
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import Identity, InferRequest
from loadline_serving.protocol.json_body import holds_booleans
from loadline_serving.protocol.questions import (
    Question,
    dump,
    load_object,
    nested,
    one_of,
    tensor,
    to_half,
)
from loadline_serving.protocol.tensors import from_json
from loadline_serving.signature import Signature, TensorSpec

ROWS, COLUMNS, INPUTS = "rows", "columns", "inputs"
_KEYS = (ROWS, COLUMNS, INPUTS, "id", "outputs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The columns that make the model's inputs."""

    columns: Mapping[str, Datatype]
    """In the model's order."""
    specs: Sequence[TensorSpec]
    """One input that holds all columns side by side, or one for each column."""
    side_by_side: bool

    def from_rows(self, rows: Sequence[Any], *, booleans: bool) -> dict[str, Array]:
        """The model's inputs from objects with one value for each column."""
        names = tuple(self.columns)
        for index, row in enumerate(rows):
            if type(row) is not dict or len(row) != len(names) or not row.keys() <= self.columns.keys():
                raise self._misfit(f"row {index}", row)
        if not self.side_by_side:
            return self.from_columns({name: [row[name] for row in rows] for name in names}, booleans=booleans)
        pick = itemgetter(*names)
        values = [pick(row) for row in rows] if len(names) == 1 else list(chain.from_iterable(map(pick, rows)))
        return self._from_matrix(values, len(rows), lambda name: [row[name] for row in rows], booleans=booleans)

    def from_columns(self, columns: object, *, booleans: bool) -> dict[str, Array]:
        """The model's inputs from one list of values for each column."""
        if not isinstance(columns, dict) or columns.keys() != self.columns.keys():
            raise self._misfit("'columns'", columns)
        count = _rows_of(columns)
        if self.side_by_side:
            values = list(chain.from_iterable(zip(*(columns[name] for name in self.columns), strict=True)))
            return self._from_matrix(values, count, columns.__getitem__, booleans=booleans)
        read: dict[str, Array] = {}
        for name, datatype in self.columns.items():
            try:
                read[name] = _values(name, datatype, columns[name], booleans=booleans)
            except BadRequestError as error:
                _refuse_odd_value(name, datatype, columns[name])
                raise error from None
        return self._feeds(read, count)

    def _from_matrix(
        self, values: list[Any], count: int, column: Callable[[str], list[Any]], *, booleans: bool
    ) -> dict[str, Array]:
        """The one input that holds all columns, read at once; column by column only to say what is wrong."""
        [spec] = self.specs
        try:
            return self._feeds({spec.name: _values(spec.name, spec.datatype, values, booleans=booleans)}, count)
        except BadRequestError as error:
            for name, datatype in self.columns.items():
                _refuse_odd_value(name, datatype, column(name))
            raise error from None

    def _feeds(self, flat: Mapping[str, Array], count: int) -> dict[str, Array]:
        feeds = {}
        for spec in self.specs:
            shape = [count, *spec.shape[1:]]
            spec.expect(spec.datatype.name, shape)
            feeds[spec.name] = flat[spec.name].reshape(shape)
        return feeds

    def _misfit(self, what: str, row: object) -> BadRequestError:
        if not isinstance(row, dict):
            return BadRequestError(f"{what} is not an object with the columns {_listed(self.columns)}")
        missing = [name for name in self.columns if name not in row]
        unknown = [name for name in row if name not in self.columns]
        lacks = f" lacks {_listed(missing)}" if missing else ""
        more = f" has the unknown {_listed(unknown)}" if unknown else ""
        sentence = f"{what}{lacks}{' and' if lacks and more else ''}{more}"
        return BadRequestError(f"{sentence}; the model's columns are {_listed(self.columns)}")


class Reader:
    """POST /predict for one model."""

    def __init__(self, signature: Signature, identity: Identity) -> None:
        self._signature = signature
        self._table = table_of(signature)
        self._identity = identity

    def read(self, body: bytes) -> Question:
        """The question in a body."""
        message = load_object(body, _KEYS)
        form = one_of(message, _KEYS[:3])
        identifier = message.get("id")
        if identifier is not None and not isinstance(identifier, str):
            raise BadRequestError("'id' is not a string")
        names = message.get("outputs", [])
        if not isinstance(names, list):
            raise BadRequestError("'outputs' is not a list of names")
        outputs = self._signature.wanted(names)
        feeds = self._feeds(form, message[form], booleans=holds_booleans(body))
        return Question(
            InferRequest(id=identifier, feeds=feeds, outputs=outputs), partial(self._write, outputs, identifier)
        )

    def _feeds(self, form: str, values: object, *, booleans: bool) -> dict[str, Array]:
        if form == INPUTS:
            return self._from_inputs(values, booleans=booleans)
        if self._table is None:
            names = _listed(self._signature.inputs)
            raise BadRequestError(f"the model takes no table; send 'inputs' with a tensor for each of {names}")
        if form == COLUMNS:
            return self._table.from_columns(values, booleans=booleans)
        if not isinstance(values, list) or not values:
            raise BadRequestError("'rows' is not a list with one object for each row")
        return self._table.from_rows(values, booleans=booleans)

    def _from_inputs(self, values: object, *, booleans: bool) -> dict[str, Array]:
        if not isinstance(values, dict):
            raise BadRequestError(
                f"'inputs' is not an object with a tensor for each of {_listed(self._signature.inputs)}"
            )
        feeds: dict[str, Array] = {}
        for name, data in values.items():
            feeds[name] = tensor(self._signature.input(name, feeds), data, booleans=booleans)
        self._signature.expect_all(feeds)
        return feeds

    def _write(self, names: Sequence[str], identifier: str | None, results: Sequence[Array]) -> bytes:
        answer: dict[str, Any] = {"model": self._identity.name, "version": self._identity.version}
        if identifier is not None:
            answer["id"] = identifier
        answer["outputs"] = {name: nested(result) for name, result in zip(names, results, strict=True)}
        return dump(answer)


def table_of(signature: Signature) -> Table | None:
    """The columns that the model's inputs are, or None if they are none."""
    specs = tuple(signature.inputs.values())
    if len(specs) == 1 and len(specs[0].shape) == 2 and (specs[0].shape[1] > 1 or signature.columns):
        [spec] = specs
        names = signature.columns or tuple(f"x{index}" for index in range(spec.shape[1]))
        return Table(columns=dict.fromkeys(names, spec.datatype), specs=specs, side_by_side=True)
    if specs and all(spec.shape[1:] in {(), (1,)} and spec.shape for spec in specs):
        return Table(columns={spec.name: spec.datatype for spec in specs}, specs=specs, side_by_side=False)
    return None


def _rows_of(columns: Mapping[str, Any]) -> int:
    """How many values every column has, if it is the same number."""
    first = next(iter(columns))
    for name, values in columns.items():
        if not isinstance(values, list) or not values:
            raise BadRequestError(f"column '{name}' is not a list with one value for each row")
        if len(values) != len(columns[first]):
            raise BadRequestError(f"column '{name}' has {len(values)} values, column '{first}' {len(columns[first])}")
    return len(columns[first])


def _values(name: str, datatype: Datatype, values: list[Any], *, booleans: bool) -> Array:
    """One dimension of values; null is a missing number where the datatype has a form for it."""
    floating = datatype.numpy.kind == "f"
    if floating and None in values:
        missing = np.array([value is None for value in values])
        present = _values(name, datatype, [0 if value is None else value for value in values], booleans=booleans)
        return np.where(missing, np.array(nan, present.dtype), present)
    half = datatype.name == "FP16"
    spec = TensorSpec(name=name, datatype=DATATYPES["FP32"] if half else datatype, shape=(len(values),))
    read = from_json(spec, [len(values)], len(values), values, booleans=booleans)
    return to_half(read, name) if half else read


def _refuse_odd_value(name: str, datatype: Datatype, values: Sequence[Any]) -> None:
    """Say which value is wrong, if one is: found by halves, since each look costs as much as many values."""
    start, end = 0, len(values)
    if not _is_odd(name, datatype, values):
        return
    while end - start > 1:
        middle = (start + end) // 2
        if _is_odd(name, datatype, values[start:middle]):
            end = middle
        else:
            start = middle
    raise BadRequestError(
        f"column '{name}' has {_told(values[start])} in row {start}; the model expects {datatype.name}"
    )


def _is_odd(name: str, datatype: Datatype, values: Sequence[Any]) -> bool:
    try:
        _values(name, datatype, list(values), booleans=True)
    except BadRequestError:
        return True
    return False


def _told(value: object) -> str:
    return repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}…"


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = [f"'{name}'" for name in names]
    return ", ".join(shown) if len(shown) <= 20 else f"{', '.join(shown[:20])} and {len(shown) - 20} more"
