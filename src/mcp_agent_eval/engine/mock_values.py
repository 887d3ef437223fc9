"""A made-up value for a JSON Schema: valid, plausible, and always the same for the same seed.

A schema is read as a conjunction, a list of schemas that must all hold. References and `allOf` add to
the list; each choice (`anyOf`, `oneOf`, `if`, `dependentSchemas`) gives it another reading. A value is drawn
that heeds all keywords of a reading at once, and where drawing cannot be sure jsonschema is asked; about
the whole it always is. No reference is ever fetched from anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, reduce
from hashlib import sha256
from itertools import chain, islice, product
from math import ceil, floor, lcm
from random import Random
from typing import TYPE_CHECKING, Any, cast

from mcp_agent_eval.engine.mock_strings import (
    LONGEST,
    TextRules,
    how_unsuccessful,
    speaks_of_failure,
    speaks_of_outcome,
    strings,
    usual_range,
)
from mcp_agent_eval.types import Json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

ATTEMPTS = 6
"""Draws of a whole value. From the second on each part is checked as soon as it is drawn."""
BUDGET = 10_000
"""Schemas and candidates that one attempt may look at, so that none takes for ever."""
TRIES = 50
"""Numbers, or names of properties, that are drawn before another way is tried."""
GENEROUS_DEPTH = 3
"""Further down only what is required, and null where that will do."""
MAX_DEPTH = 12
"""Further down nothing: what is required there would go on for ever."""

Parts = Sequence[Any]
Path = tuple[str | int, ...]


class CannotMock(ValueError):
    """No value was found for a schema. The message says where it got stuck."""


class _Stuck(Exception):
    """This part of the schema has no value; another reading of what is around it may do without."""


class _Spent(Exception):
    """An attempt has used up its budget."""


def mock_tool_result(schema: Json | None, *, seed: str) -> object:
    """What a tool with that output schema might answer. Raises `CannotMock`."""
    return {"success": True} if schema is None else mock_value(schema, seed=seed)


def mock_value(schema: Json | bool, *, seed: str) -> object:
    """A value that is valid under draft 2020-12. Raises `CannotMock`.

    The order of keys in the schema does not matter, so a schema that was stored gives the same value.
    """
    from referencing.exceptions import Unresolvable

    try:
        return _found(_compiled(json.dumps(schema, sort_keys=True)), seed)
    except Unresolvable as exc:
        raise CannotMock(f"the reference {exc.ref!r} leads nowhere") from None
    except re.error as exc:
        raise CannotMock(f"the pattern {exc.pattern!r} is not a regular expression of Python's") from None
    except (_Spent, ArithmeticError, RecursionError):
        raise CannotMock("it asks for too much, or recurses without an end") from None


def _found(compiled: _Compiled, seed: str) -> object:
    complaint = ""
    for attempt in range(ATTEMPTS):
        drawing = _Drawing(compiled, _random(f"{attempt}:{seed}"), wary=attempt > 0)
        try:
            value = drawing.draw([compiled.schema], ())
        except _Stuck:
            complaint = drawing.complaint
            continue
        if compiled.validator.is_valid(value):
            return value
        complaint = _where_invalid(compiled.validator, value)
    raise CannotMock(complaint)


def _random(seed: str) -> Random:
    return Random(int.from_bytes(sha256(seed.encode("utf-8", "surrogatepass")).digest()))


def _where_invalid(validator: Validator, value: Any) -> str:
    error = next(iter(validator.iter_errors(value)))
    return f"nothing was found that satisfies {'/'.join(map(str, error.absolute_schema_path))}"


# --- The schema, built once


class _Compiled:
    """A schema with its validator, which takes two milliseconds to build, and its references."""

    def __init__(self, schema: Any) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as exc:
            raise CannotMock(f"not a valid JSON Schema: {exc.message}") from None
        self.schema = schema
        # Given a registry, jsonschema looks nothing up on the network.
        self.validator: Validator = Draft202012Validator(schema, registry=EMPTY_REGISTRY)
        self._resolver = EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema))
        self._resolved: dict[str, Any] = {}

    def is_valid(self, value: object, part: Any) -> bool:
        """Whether a value is valid under a part of the schema."""
        return cast(Any, self.validator).evolve(schema=part).is_valid(value)

    def resolve(self, reference: str) -> Any:
        """What a `$ref` refers to, from the root's point of view."""
        if reference not in self._resolved:
            contents = self._resolver.lookup(reference).contents
            if not isinstance(contents, dict | bool):
                raise CannotMock(f"the reference {reference!r} leads to something that is not a schema")
            self._resolved[reference] = contents
        return self._resolved[reference]


@lru_cache(maxsize=256)
def _compiled(text: str) -> _Compiled:
    return _Compiled(json.loads(text))


# --- Reading a conjunction


def _given(parts: Parts, keyword: str) -> list[Any]:
    """What the parts say for a keyword, those that say anything."""
    return [part[keyword] for part in parts if keyword in part]


def _named(parts: Parts, keyword: str) -> list[str]:
    """All names in the lists or under the keys of a keyword, once each."""
    return list(dict.fromkeys(name for names in _given(parts, keyword) for name in names))


def _keywords(reading: Parts) -> set[str]:
    return set[str]().union(*reading)


def _choices(part: Json) -> Iterator[list[Any]]:
    """The choices that a schema leaves, each a list of schemas of which one more must hold."""
    yield from (*_given([part], "anyOf"), *_given([part], "oneOf"))
    if "if" in part:
        yield [{"allOf": [part["if"], part.get("then", True)]}, part.get("else", True)]
    for dependent in part.get("dependentSchemas", {}).values():
        yield [dependent, True]


def _ordered(alternatives: list[Any], depth: int) -> list[Any]:
    """Null last, as it says the least; deep down first, as it ends a recursion."""
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
"""Keywords that speak of one type, in schemas that name none."""


def _kinds(reading: Parts, path: Path) -> list[str]:
    """The types that a value may have: as they are listed, else as the keywords hint; null last."""
    if not (declared := _given(reading, "type")):
        keywords = _keywords(reading)
        hinted = [kind for kind, words in _HINTS.items() if not words.isdisjoint(keywords)]
        return list(dict.fromkeys([*hinted, *([] if path else ["object"]), *_KINDS]))
    listed = [[types] if isinstance(types, str) else types for types in declared]
    kinds = dict.fromkeys([*chain(*listed), "integer"])
    return sorted(filter(lambda kind: _allowed(kind, listed), kinds), key="null".__eq__)


def _allowed(kind: str, listed: list[list[str]]) -> bool:
    return all(kind in types or (kind == "integer" and "number" in types) for types in listed)


_STATING = {"const", "default", "examples", "example", "enum"}
"""Keywords that name values."""

_TRICKY = {"not", "if", "oneOf", "dependentSchemas", "propertyNames", "unevaluatedProperties"}.union(
    ("unevaluatedItems", "maxContains", "multipleOf", "$dynamicRef")
)
"""Keywords that a drawn value may fail to satisfy."""

_MEMBERS = {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
"""Keywords without which an object may have any properties."""


def _name(path: Path) -> str:
    """The property that a value stands in; an element goes by its array's name in the singular."""
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    return name if path[-1:] == (name,) else name.removesuffix("s")


# --- Drawing


class _Drawing:
    """One attempt at a value. A wary one checks every part, and so notices where another choice is due."""

    def __init__(self, compiled: _Compiled, rng: Random, *, wary: bool) -> None:
        self._compiled = compiled
        self._rng = rng
        self._wary = wary
        self._budget = BUDGET
        self._stuck: tuple[Path, set[str]] = ((), set())

    @property
    def complaint(self) -> str:
        """Where the attempt came to an end."""
        path, keywords = self._stuck
        where = "/".join(map(str, path)) or "its top level"
        return f"nothing was found for {where} ({', '.join(sorted(keywords)) or 'forbids everything'})"

    def draw(self, parts: Parts, path: Path) -> Any:
        """A value for which all parts hold."""
        for reading in self._readings(parts, len(path)):
            for value, sure in self._candidates(reading, path):
                self._spend()
                if sure or self._holds(parts, value):
                    return value
        keywords = _keywords([part for part in parts if isinstance(part, dict)])
        if keywords and len(path) >= len(self._stuck[0]):
            self._stuck = path, keywords
        raise _Stuck

    def _holds(self, parts: Parts, value: object) -> bool:
        return all(self._compiled.is_valid(value, part) for part in parts)

    def _readings(self, parts: Parts, depth: int) -> Iterator[list[Json]]:
        """Every way to choose, as a list of schemas without references or choices left to follow."""
        flat = self._flattened(parts)
        if flat is None or depth > MAX_DEPTH:
            return
        choices = [_ordered(choice, depth) for part in flat for choice in _choices(part)]
        if not choices:
            yield flat
            return
        for chosen in product(*choices):
            yield from ([*flat, *more] for more in self._readings(chosen, depth + 1))

    def _flattened(self, parts: Parts) -> list[Json] | None:
        """The parts and all that they refer to; None if one of them forbids everything."""
        flat, queue = list[Json](), list(parts)
        while queue:
            self._spend()
            part = queue.pop(0)
            if part is False:
                return None
            if part is not True:
                flat.append(part)
                queue += part.get("allOf", ())
                queue += (self._compiled.resolve(part[key]) for key in ("$ref", "$dynamicRef") if key in part)
        return flat

    def _spend(self) -> None:
        self._budget -= 1
        if self._budget < 0:
            raise _Spent

    def _candidates(self, reading: Parts, path: Path) -> Iterator[tuple[Any, bool]]:
        """Values to try, and whether they are sure to hold."""
        keywords = _keywords(reading)
        if not _STATING.isdisjoint(keywords):
            for stated in self._stated(reading, path):
                yield deepcopy(stated), False
        if "const" in keywords or "enum" in keywords:
            return
        sure = not self._wary and _TRICKY.isdisjoint(keywords)
        for kind in _kinds(reading, path):
            for value in self._of_kind(kind, reading, path):
                yield value, sure

    def _stated(self, reading: Parts, path: Path) -> Iterator[Any]:
        """The values that the schema itself names. A default of null says nothing of a success."""
        yield from _given(reading, "const")
        yield from (default for default in _given(reading, "default") if default is not None)
        yield from (examples[0] for examples in _given(reading, "examples") if examples)
        yield from _given(reading, "example")
        for members in _given(reading, "enum")[:1]:
            yield from self._in_order(members, _name(path))

    def _in_order(self, members: list[Any], name: str) -> list[Any]:
        if speaks_of_outcome(name):
            return sorted(members, key=how_unsuccessful)
        return self._rng.sample(members, len(members))

    def _of_kind(self, kind: str, reading: Parts, path: Path) -> Iterator[Any]:
        match kind:
            case "object":
                return self._objects(reading, path)
            case "array":
                return self._arrays(reading, path)
            case "string":
                return strings(_name(path), _text_rules(reading), self._rng)
            case "number" | "integer":
                return _numbers(kind, reading, _name(path), self._rng)
            case "boolean":
                positive = not speaks_of_failure(_name(path))
                return iter((positive, not positive))
            case _:
                return iter((None,))

    def _objects(self, reading: Parts, path: Path) -> Iterator[Json]:
        if not path and all(_MEMBERS.isdisjoint(part) for part in reading):
            yield {"success": True}
        for generous in dict.fromkeys((len(path) < GENEROUS_DEPTH, False)):
            with suppress(_Stuck):
                yield self._object(reading, path, generous)

    def _object(self, reading: Parts, path: Path, generous: bool) -> Json:
        value = {key: self._property(reading, path, key) for key in _named(reading, "required")}
        room = min(_given(reading, "maxProperties"), default=BUDGET) - len(value)
        if generous and room > 0:
            # A success has no property that tells of a failure.
            named = (key for key in _named(reading, "properties") if not speaks_of_failure(key))
            optional = [key for key in named if key not in value]
            value |= islice(self._fitting(reading, path, optional), room)
        while missing := _still_required(reading, value):
            value[missing] = self._property(reading, path, missing)
        return self._filled(reading, path, value, generous)

    def _filled(self, reading: Parts, path: Path, value: Json, generous: bool) -> Json:
        """With as many properties of any name as are asked for; with one, where they are all that there is."""
        least = max(_given(reading, "minProperties"), default=0)
        wanted = max(least, 1 if generous and not value and _is_map(reading) else 0)
        if len(value) < wanted:
            names = (name for name in self._free_names(reading, path) if name not in value)
            value |= islice(self._fitting(reading, path, names), wanted - len(value))
        if len(value) < least:
            raise _Stuck
        return value

    def _property(self, reading: Parts, path: Path, key: str) -> Any:
        return self.draw(_property_parts(reading, key), (*path, key))

    def _fitting(self, reading: Parts, path: Path, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
        for key in keys:
            with suppress(_Stuck):
                yield key, self._property(reading, path, key)

    def _free_names(self, reading: Parts, path: Path) -> Iterator[str]:
        for pattern in _named(reading, "patternProperties"):
            yield from islice(strings("", TextRules(patterns=(pattern,)), self._rng), 9)
        for _ in range(TRIES):
            yield self.draw([{"type": "string"}, *_given(reading, "propertyNames")], (*path, "id"))

    def _arrays(self, reading: Parts, path: Path) -> Iterator[list[Any]]:
        contained = [part["contains"] for part in reading for _ in range(_fewest_contained(part))]
        least = ceil(max([*_given(reading, "minItems"), len(contained)]))
        listed = max(map(len, _given(reading, "prefixItems")), default=0)
        usual = max(least, listed + len(contained), 2 if len(path) < GENEROUS_DEPTH else 0)
        usual = floor(min([*_given(reading, "maxItems"), usual]))
        for length in dict.fromkeys((usual, least)):
            with suppress(_Stuck):
                yield self._array(reading, path, length, least, contained)

    def _array(self, reading: Parts, path: Path, length: int, least: int, contained: list[Any]) -> list[Any]:
        """That many elements, the contained ones last; fewer if no more can be found than are needed."""
        items: list[Any] = []
        for index in range(length):
            special = contained[length - index - 1 :][:1] or _not_contained(reading)
            parts = [*_item_parts(reading, index), *special, *_different(reading, items)]
            try:
                items.append(self.draw(parts, (*path, index)))
            except _Stuck:
                if contained or index < least:
                    raise
                break
        return items


# --- What a reading asks of a string, a property, an element


def _text_rules(reading: Parts) -> TextRules:
    return TextRules(
        formats=tuple(_given(reading, "format")),
        patterns=tuple(_given(reading, "pattern")),
        shortest=ceil(max(_given(reading, "minLength"), default=0)),
        longest=floor(min(_given(reading, "maxLength"), default=LONGEST)),
    )


def _property_parts(reading: Parts, key: str) -> list[Any]:
    asked = [schema for part in reading for schema in _asked_of_property(part, key)]
    return asked or _given(reading, "unevaluatedProperties")


def _asked_of_property(part: Json, key: str) -> list[Any]:
    patterns = cast(Json, part.get("patternProperties", {}))
    matching = [schema for pattern, schema in patterns.items() if re.search(pattern, key)]
    return [*_given([part.get("properties", {})], key), *matching] or _given([part], "additionalProperties")


def _still_required(reading: Parts, value: Json) -> str | None:
    """A property that is missing although another one is there that asks for it."""
    rules = chain.from_iterable(rule.items() for rule in _given(reading, "dependentRequired"))
    wanted = chain.from_iterable(names for key, names in rules if key in value)
    return next((name for name in wanted if name not in value), None)


def _is_map(reading: Parts) -> bool:
    """Whether an object is a table of alike entries."""
    entries = [*_given(reading, "additionalProperties"), *_given(reading, "patternProperties")]
    return any(isinstance(schema, dict) for schema in entries)


def _item_parts(reading: Parts, index: int) -> list[Any]:
    asked = [schema for part in reading for schema in _asked_of_item(part, index)]
    return asked or _given(reading, "unevaluatedItems")


def _asked_of_item(part: Json, index: int) -> list[Any]:
    return part.get("prefixItems", [])[index : index + 1] or _given([part], "items")


def _different(reading: Parts, items: list[Any]) -> list[Json]:
    return [{"not": {"enum": list(items)}}] if items and any(_given(reading, "uniqueItems")) else []


def _fewest_contained(part: Json) -> int:
    return min(ceil(part.get("minContains", 1)), BUDGET) if "contains" in part else 0


def _not_contained(reading: Parts) -> list[Json]:
    """What keeps an element from being counted, where too many may be."""
    return [{"not": part["contains"]} for part in reading if "contains" in part and "maxContains" in part]


# --- Numbers


def _numbers(kind: str, reading: Parts, name: str, rng: Random) -> Iterator[int | float]:
    """Multiples of the step that the schema asks for, within its bounds, and the bounds themselves."""
    usual = usual_range(name)
    for step in _steps(kind, reading):
        first, last = _span(usual, reading, step)
        for _ in range(TRIES if first <= last else 0):
            number = rng.randint(first, last) * step
            yield int(number) if step.denominator == 1 else float(number)
    yield from chain(_given(reading, "minimum"), _given(reading, "maximum"))


def _steps(kind: str, reading: Parts) -> list[Fraction]:
    """The one step that the schema asks for; else cents, and finer where the bounds leave no room for them."""
    asked = [_exact(step) for step in _given(reading, "multipleOf")]
    if kind == "integer":
        asked.append(Fraction(1))
    return [reduce(_common_multiple, asked)] if asked else [Fraction(1, 10**digits) for digits in (2, 6, 12)]


def _exact(number: float) -> Fraction:
    return Fraction(Decimal(str(number)))


def _common_multiple(one: Fraction, other: Fraction) -> Fraction:
    whole = lcm(one.numerator * other.denominator, other.numerator * one.denominator)
    return Fraction(whole, one.denominator * other.denominator)


def _span(usual: tuple[int, int], reading: Parts, step: Fraction) -> tuple[int, int]:
    """The first and the last multiple to draw from: the usual ones if allowed, else those next to a bound."""
    least, most = _least(reading, step), _most(reading, step)
    first = ceil(max([usual[0] / step, *least]))
    last = floor(min([usual[1] / step, *most]))
    if first <= last:
        return first, last
    if least:
        return max(least), min([max(least) + 99, *most])
    return (min(most) - 99, min(most)) if most else (1, 1)


def _least(reading: Parts, step: Fraction) -> list[int]:
    inclusive = [ceil(_exact(bound) / step) for bound in _given(reading, "minimum")]
    return inclusive + [floor(_exact(bound) / step) + 1 for bound in _given(reading, "exclusiveMinimum")]


def _most(reading: Parts, step: Fraction) -> list[int]:
    inclusive = [floor(_exact(bound) / step) for bound in _given(reading, "maximum")]
    return inclusive + [ceil(_exact(bound) / step) - 1 for bound in _given(reading, "exclusiveMaximum")]
