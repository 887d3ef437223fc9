"""The plainest JSON value that fits a schema, around a text and a yes or no."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from mcp_agent_eval.types import Json

_DEEPEST = 8
_SHALLOW = 2
_MOST_ITEMS = 20
_LONGEST = 1000
_COMPOSING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_MEANING_YES = frozenset({"pass", "passed", "yes", "true", "met"})
_MEANING_NO = frozenset({"fail", "failed", "no", "false", "not_met", "gave_up"})
_FORMATS = {
    "date": "2026-01-15",
    "time": "09:00:00Z",
    "date-time": "2026-01-15T09:00:00Z",
    "email": "caller@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def as_object(value: object) -> Json:
    """A value as the JSON object that it is, or an empty one."""
    return cast(Json, value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """A value as the list that it is, or an empty one."""
    return cast(list[object], value) if isinstance(value, list) else []


def kind_of(schema: Json) -> str:
    """The JSON type that a schema asks for, or the one that its other keywords imply."""
    declared = schema.get("type")
    kinds = [kind for kind in [*as_list(declared), declared] if isinstance(kind, str)]
    if kinds:
        return next((kind for kind in kinds if kind != "null"), "null")
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def fill(schema: object, text: str = "", yes: bool = False, numbers: tuple[int, ...] = ()) -> object:
    """A value of this shape. Strings are `text`, booleans `yes`; a list of integers is `numbers`."""
    return _Filler(as_object(schema), text, yes, numbers).value(schema, 0)


@dataclass(frozen=True, slots=True)
class _Filler:
    root: Json
    text: str
    yes: bool
    numbers: tuple[int, ...]

    def value(self, schema: object, depth: int) -> object:
        """The value for one schema, wherever it stands."""
        if depth > _DEEPEST:
            return self.text
        resolved = self._resolved(as_object(schema))
        for keyword in ("const", "default"):
            if keyword in resolved:
                return resolved[keyword]
        if options := as_list(resolved.get("enum")) or as_list(resolved.get("examples")):
            return self._chosen(options)
        return self._of_kind(resolved, depth)

    def _resolved(self, schema: Json) -> Json:
        """With references followed, all of `allOf` and the first of other alternatives taken."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            branches = as_list(schema.get("allOf"))
            branches += as_list(schema.get("anyOf"))[:1] + as_list(schema.get("oneOf"))[:1]
            if isinstance(reference, str):
                branches.append(self._at(reference))
            schema = {name: value for name, value in schema.items() if name not in _COMPOSING}
            for branch in branches:
                schema |= as_object(branch)
        return schema

    def _at(self, reference: str) -> Json:
        found = self.root
        for part in filter(None, reference.removeprefix("#").split("/")):
            found = as_object(found.get(part))
        return found

    def _chosen(self, options: list[object]) -> object:
        """The option that means yes or no, where there is one."""
        wanted = _MEANING_YES if self.yes else _MEANING_NO
        return next((option for option in options if str(option).lower() in wanted), options[0])

    def _of_kind(self, schema: Json, depth: int) -> object:
        match kind_of(schema):
            case "object":
                return {name: self.value(part, depth + 1) for name, part in _parts(schema, depth).items()}
            case "array":
                return self._items(schema, depth)
            case "boolean":
                return self.yes
            case "integer" | "number" as kind:
                return _smallest(schema, kind)
            case "null":
                return None
            case _:
                return self._string(schema)

    def _items(self, schema: Json, depth: int) -> list[object]:
        if self.numbers and kind_of(as_object(schema.get("items"))) == "integer":
            return list(self.numbers)
        return [self.value(schema.get("items"), depth + 1)] * min(int(schema.get("minItems", 0)), _MOST_ITEMS)

    def _string(self, schema: Json) -> str:
        text = _FORMATS.get(str(schema.get("format")), self.text)[: schema.get("maxLength")]
        return text.ljust(min(int(schema.get("minLength", 0)), _LONGEST), ".")


def _parts(schema: Json, depth: int) -> Json:
    """The required properties, and while it is not deep the others that are declared."""
    declared = as_object(schema.get("properties"))
    required = [str(name) for name in as_list(schema.get("required"))]
    names = required if depth > _SHALLOW else dict.fromkeys([*declared, *required])
    return {name: declared.get(name) for name in names}


def _smallest(schema: Json, kind: str) -> int | float:
    """The least number that is allowed, or 0 where there is no bound."""
    step = 1 if kind == "integer" else 0.5
    least = schema.get("minimum", schema.get("exclusiveMinimum", -step) + step)
    least = min(least, schema.get("maximum", least), schema.get("exclusiveMaximum", least + step) - step)
    return math.ceil(least) if kind == "integer" else least
