"""The part of JSONPath that a flow's custom edges use: `$.a.b`, `$.list[0].c`, and how a value is compared.

There are no wildcards, filters or recursive steps, so a path costs what it is long.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

_PATH = re.compile(r"\$(?:\.[\w-]+|\[[0-9]{1,9}\])*")
_STEP = re.compile(r"\.([\w-]+)|\[([0-9]+)\]")


def is_path(text: str) -> bool:
    """Whether it is of the form that is understood."""
    return _PATH.fullmatch(text) is not None


def leads_to(path: str, result: object, equals: object) -> bool:
    """Whether `path` leads to something in `result` that reads like `equals`."""
    if not is_path(path):
        return False
    try:
        return as_text(_follow(path, result)) == as_text(equals)
    except LookupError:
        return False


def as_text(value: object) -> str:
    """A value as JSON writes it, but for a text, which stands for itself: `true`, `null`, `42`, `Ann`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _follow(path: str, result: object) -> object:
    """What is at the end of a path. Raises LookupError where it leads nowhere."""
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
