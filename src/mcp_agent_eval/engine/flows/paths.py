"""The subset of JSONPath that a flow's custom edges use (`$.a.b`, `$.list[0].c`), and how values are compared.

There are no wildcards, filters or recursive steps, so the cost is linear in the length of the path.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

_PATH = re.compile(r"\$(?:\.[\w-]+|\[[0-9]{1,9}\])*")
_STEP = re.compile(r"\.([\w-]+)|\[([0-9]+)\]")


def is_path(text: str) -> bool:
    """Whether the path has a supported form."""
    return _PATH.fullmatch(text) is not None


def leads_to(path: str, result: object, equals: object) -> bool:
    """Whether the value at `path` in `result` is `equals` when written as text."""
    if not is_path(path):
        return False
    try:
        return as_text(_follow(path, result)) == as_text(equals)
    except LookupError:
        return False


def as_text(value: object) -> str:
    """A value as JSON writes it, except a string, which stays as it is: `true`, `null`, `42`, `Ann`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _follow(path: str, result: object) -> object:
    """The value at the end of a path. Raises LookupError if there is none."""
    value: Any = result
    for step in _STEP.finditer(path):
        value = _member(value, step[1]) if step[1] else _element(value, int(step[2]))
    return value


def _member(value: object, key: str) -> object:
    if not isinstance(value, dict):
        raise LookupError(key)
    return cast(dict[str, object], value)[key]


def _element(value: object, index: int) -> object:
    if not isinstance(value, list):
        raise LookupError(index)
    return cast(list[object], value)[index]
