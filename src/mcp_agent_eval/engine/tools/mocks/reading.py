"""Reads a conjunction of schemas: its keywords, its choices, and what it requires of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import ceil, floor
from typing import Any, cast

from mcp_agent_eval.engine.matching.schemas import matches
from mcp_agent_eval.engine.tools.mocks.strings import LONGEST, TextRules
from mcp_agent_eval.types import Json

BUDGET = 10_000
"""Most schemas and candidates per attempt, so that none takes forever."""
TRIES = 50
"""Numbers or property names to draw before trying another way."""
GENEROUS_DEPTH = 3
"""Below this depth only required properties, and null where allowed."""

Parts = Sequence[Any]
Path = tuple[str | int, ...]


def given(parts: Parts, keyword: str) -> list[Any]:
    """The values of a keyword in all parts that have it."""
    return [part[keyword] for part in parts if keyword in part]


def names_in(parts: Parts, keyword: str) -> list[str]:
    """All names in a keyword's lists or keys, without duplicates."""
    return list(dict.fromkeys(name for names in given(parts, keyword) for name in names))


def keywords_of(reading: Parts) -> set[str]:
    return set[str]().union(*reading)


def choices_of(part: Json) -> Iterator[list[Any]]:
    """The choices that a schema leaves, each a list of schemas of which one must hold."""
    yield from (*given([part], "anyOf"), *given([part], "oneOf"))
    if "if" in part:
        yield [{"allOf": [part["if"], part.get("then", True)]}, part.get("else", True)]
    for dependent in part.get("dependentSchemas", {}).values():
        yield [dependent, True]


def ordered(alternatives: list[Any], depth: int) -> list[Any]:
    """Sort null last, as it says the least; at depth first, as it ends a recursion."""
    return sorted(alternatives, key=_is_null, reverse=depth >= GENEROUS_DEPTH)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and cast(Json, schema).get("type") == "null"


_KINDS = ("string", "number", "integer", "boolean", "object", "array", "null")

_HINTS = {
    "object": {"properties", "required", "additionalProperties", "patternProperties", "minProperties"}
    | {"propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "maxProperties"},
    "array": {"items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
"""Keywords that imply a type in schemas without one."""


def kinds_of(reading: Parts, path: Path) -> list[str]:
    """The types that a value may have: the listed ones, else those implied by keywords; null last."""
    if not (declared := given(reading, "type")):
        keywords = keywords_of(reading)
        hinted = [kind for kind, words in _HINTS.items() if not words.isdisjoint(keywords)]
        return list(dict.fromkeys([*hinted, *([] if path else ["object"]), *_KINDS]))
    listed = [[types] if isinstance(types, str) else types for types in declared]
    kinds = dict.fromkeys([*chain(*listed), "integer"])
    return sorted(filter(lambda kind: _allowed(kind, listed), kinds), key="null".__eq__)


def _allowed(kind: str, listed: list[list[str]]) -> bool:
    return all(kind in types or (kind == "integer" and "number" in types) for types in listed)


STATING = {"const", "default", "examples", "example", "enum"}
"""Keywords that list values."""

TRICKY = {"not", "if", "oneOf", "dependentSchemas", "propertyNames", "unevaluatedProperties"}.union(
    ("unevaluatedItems", "maxContains", "multipleOf", "$dynamicRef")
)
"""Keywords that a drawn value may fail to satisfy."""

MEMBERS = {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
"""Keywords without which an object may have any properties."""


def name_of(path: Path) -> str:
    """The name of a value's property; an element uses the singular of its array's name."""
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return name if path[-1:] == (name,) else name.removesuffix("s")


def text_rules(reading: Parts) -> TextRules:
    return TextRules(
        formats=tuple(given(reading, "format")),
        patterns=tuple(given(reading, "pattern")),
        shortest=ceil(max(given(reading, "minLength"), default=0)),
        longest=floor(min(given(reading, "maxLength"), default=LONGEST)),
    )


def property_parts(reading: Parts, key: str) -> list[Any]:
    asked = [schema for part in reading for schema in _asked_of_property(part, key)]
    return asked or given(reading, "unevaluatedProperties")


def _asked_of_property(part: Json, key: str) -> list[Any]:
    patterns = cast(Json, part.get("patternProperties", {}))
    matching = [schema for pattern, schema in patterns.items() if matches(pattern, key)]
    return [*given([part.get("properties", {})], key), *matching] or given([part], "additionalProperties")


def still_required(reading: Parts, value: Json) -> str | None:
    """A property that is missing although another one requires it."""
    rules = chain.from_iterable(rule.items() for rule in given(reading, "dependentRequired"))
    wanted = chain.from_iterable(names for key, names in rules if key in value)
    return next((name for name in wanted if name not in value), None)


def is_map(reading: Parts) -> bool:
    """Whether an object is a map of similar entries."""
    entries = [*given(reading, "additionalProperties"), *given(reading, "patternProperties")]
    return any(isinstance(schema, dict) for schema in entries)


def item_parts(reading: Parts, index: int) -> list[Any]:
    asked = [schema for part in reading for schema in _asked_of_item(part, index)]
    return asked or given(reading, "unevaluatedItems")


def _asked_of_item(part: Json, index: int) -> list[Any]:
    return part.get("prefixItems", [])[index : index + 1] or given([part], "items")


def different(reading: Parts, items: list[Any]) -> list[Json]:
    return [{"not": {"enum": list(items)}}] if items and any(given(reading, "uniqueItems")) else []


def fewest_contained(part: Json) -> int:
    return min(ceil(part.get("minContains", 1)), BUDGET) if "contains" in part else 0


def not_contained(reading: Parts) -> list[Json]:
    """A schema that keeps an element from matching `contains`, if too many could match."""
    return [{"not": part["contains"]} for part in reading if "contains" in part and "maxContains" in part]
