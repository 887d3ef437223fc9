"""Checks the arguments of a tool call against the tool's `parameters`, in words that a model can act on.

Messages name fields and say what would be right. They never repeat a value, which is conversation text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, cast

from mcp_agent_eval.engine.matching.schemas import Uncheckable, violations
from mcp_agent_eval.types import Json

DEEPEST = 64
"""Deepest nesting of objects and lists. More is never intended, and overflows the stack of code that serialises it."""

_MOST = 8
_LONGEST = 300
_NAME = 60


def problems(schema: Json, arguments: object) -> list[str]:
    """The problems with the arguments, one sentence each without duplicates; empty when they may be sent.

    A schema that cannot be checked is also a problem: nothing unchecked is sent.
    """
    if not is_plain_json(arguments):
        return ["The arguments are nested too deeply, or contain a number that JSON cannot express."]
    try:
        found = violations(schema, arguments)
    except Uncheckable as exc:
        return [f"The tool's parameters cannot be checked: {str(exc).removesuffix('.')}."]
    told = list(dict.fromkeys(_told(error) for error in found))
    return told[:_MOST] + ([f"And {len(told) - _MOST} more."] if len(told) > _MOST else [])


def is_plain_json(value: object) -> bool:
    """Whether every JSON library accepts a value: numbers are finite, and nothing is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            return False
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _told(error: Any) -> str:
    write = _WORDS.get(str(error.validator), _unfitting)
    words = write(error.validator_value, error)
    return f"{_where(error.absolute_path)}: {words[:_LONGEST]}."


def _where(path: Iterable[str | int]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step[:_NAME]}" for step in path)
    return "".join(steps).removeprefix(".") or "The arguments"


def _unfitting(_: Any, error: Any) -> str:
    keyword = error.validator or "false"
    return f"does not fit {keyword!r} of the schema"


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(_as_json, values))


def _missing(names: list[str], error: Any) -> str:
    return f"needs {_listed(name for name in names if name not in error.instance)}"


def _missing_beside(needs: dict[str, list[str]], error: Any) -> str:
    given = error.instance
    lacking = [name for key, names in needs.items() if key in given for name in names if name not in given]
    return f"also needs {_listed(dict.fromkeys(lacking))}"


def _too_much(_: Any, error: Any) -> str:
    known = cast(Json, error.schema.get("properties", {}))
    return f"has only the fields {_listed(known)}" if known else "has unknown fields"


def _bound(words: str) -> Callable[[Any, Any], str]:
    return lambda limit, _: words.format(_as_json(limit))


_WORDS: dict[str, Callable[[Any, Any], str]] = {
    "type": lambda types, _: f"must be {' or '.join([types] if isinstance(types, str) else types)}",
    "enum": lambda values, _: f"must be one of {_listed(values)}",
    "const": _bound("must be {}"),
    "required": _missing,
    "dependentRequired": _missing_beside,
    "additionalProperties": _too_much,
    "unevaluatedProperties": _too_much,
    "minimum": _bound("must be at least {}"),
    "maximum": _bound("must be at most {}"),
    "exclusiveMinimum": _bound("must be above {}"),
    "exclusiveMaximum": _bound("must be below {}"),
    "multipleOf": _bound("must be a multiple of {}"),
    "minLength": _bound("is too short: at least {} characters"),
    "maxLength": _bound("is too long: at most {} characters"),
    "pattern": _bound("must match the pattern {}"),
    "minItems": _bound("has too few items: at least {}"),
    "maxItems": _bound("has too many items: at most {}"),
    "minProperties": _bound("has too few fields: at least {}"),
    "maxProperties": _bound("has too many fields: at most {}"),
    "uniqueItems": _bound("must not contain duplicates"),
    "anyOf": _bound("matches none of the allowed forms"),
    "oneOf": _bound("must match exactly one of the allowed forms"),
}
