"""Generates a value for a JSON Schema: valid, plausible, and always the same for the same seed.

A schema is read as a conjunction, a list of schemas that must all hold. References and `allOf` add to the list;
each choice (`anyOf`, `oneOf`, `if`, `dependentSchemas`) gives another reading. A value is drawn that respects all
keywords of a reading at once. Where drawing cannot be sure, jsonschema checks the part; it always checks the whole.
References are never fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from hashlib import sha256
from itertools import islice, product
from math import ceil, floor
from random import Random
from typing import TYPE_CHECKING, Any

from mcp_agent_eval.engine.matching.patterns import PatternTimeout
from mcp_agent_eval.engine.matching.schemas import patterns_within
from mcp_agent_eval.engine.tools.mocks.numbers import numbers
from mcp_agent_eval.engine.tools.mocks.reading import (
    BUDGET,
    GENEROUS_DEPTH,
    MEMBERS,
    STATING,
    TRICKY,
    TRIES,
    Parts,
    Path,
    choices_of,
    different,
    fewest_contained,
    given,
    is_map,
    item_parts,
    keywords_of,
    kinds_of,
    name_of,
    names_in,
    not_contained,
    ordered,
    property_parts,
    still_required,
    text_rules,
)
from mcp_agent_eval.engine.tools.mocks.schema import CannotMock, CompiledSchema, compiled_schema
from mcp_agent_eval.engine.tools.mocks.strings import (
    TextRules,
    how_unsuccessful,
    speaks_of_failure,
    speaks_of_outcome,
    strings,
)
from mcp_agent_eval.errors import InvalidPattern
from mcp_agent_eval.types import Json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

ATTEMPTS = 6
"""Attempts at a whole value. From the second on, each part is checked as soon as it is drawn."""
TIME_FOR_PATTERNS = 2.0
"""Seconds for all pattern searches of a value together."""
MAX_DEPTH = 12
"""Below this depth nothing is generated: what is required there would never end."""


class _Stuck(Exception):
    """This part of the schema has no value; another reading of its surroundings may not need one."""


class _Spent(Exception):
    """An attempt has used up its budget."""


def mock_tool_result(schema: Json | None, *, seed: str) -> object:
    """A plausible result of a tool with this output schema. Raises `CannotMock`."""
    return {"success": True} if schema is None else mock_value(schema, seed=seed)


def mock_value(schema: Json | bool, *, seed: str) -> object:
    """A value that is valid under draft 2020-12. Raises `CannotMock`.

    The order of keys in the schema does not matter, so a stored schema gives the same value.
    """
    from referencing.exceptions import Unresolvable

    try:
        with patterns_within(TIME_FOR_PATTERNS):
            return _found(compiled_schema(json.dumps(schema, sort_keys=True)), seed)
    except Unresolvable as exc:
        raise CannotMock(f"the reference {exc.ref!r} leads nowhere") from None
    except re.error as exc:
        raise CannotMock(f"the pattern {exc.pattern!r} is not a regular expression of Python's") from None
    except InvalidPattern as exc:
        raise CannotMock(f"a pattern cannot be used. {exc.message}") from None
    except PatternTimeout:
        raise CannotMock("its patterns take too long to search for") from None
    except (_Spent, ArithmeticError, RecursionError):
        raise CannotMock("it asks for too much, or recurses endlessly") from None


def _found(compiled: CompiledSchema, seed: str) -> object:
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


class _Drawing:
    """One attempt at a value. A wary one checks every part, and so notices where to choose differently."""

    def __init__(self, compiled: CompiledSchema, rng: Random, *, wary: bool) -> None:
        self._compiled = compiled
        self._rng = rng
        self._wary = wary
        self._budget = BUDGET
        self._stuck: tuple[Path, set[str]] = ((), set())

    @property
    def complaint(self) -> str:
        """Where the attempt got stuck."""
        path, keywords = self._stuck
        where = "/".join(map(str, path)) or "its top level"
        return f"nothing was found for {where} ({', '.join(sorted(keywords)) or 'forbids everything'})"

    def draw(self, parts: Parts, path: Path) -> Any:
        """A value that satisfies all parts."""
        for reading in self._readings(parts, len(path)):
            for value, sure in self._candidates(reading, path):
                self._spend()
                if sure or self._holds(parts, value):
                    return value
        keywords = keywords_of([part for part in parts if isinstance(part, dict)])
        if keywords and len(path) >= len(self._stuck[0]):
            self._stuck = path, keywords
        raise _Stuck

    def _holds(self, parts: Parts, value: object) -> bool:
        return all(self._compiled.is_valid(value, part) for part in parts)

    def _readings(self, parts: Parts, depth: int) -> Iterator[list[Json]]:
        """Every combination of choices, as a list of schemas without unresolved references or choices."""
        flat = self._flattened(parts)
        if flat is None or depth > MAX_DEPTH:
            return
        choices = [ordered(choice, depth) for part in flat for choice in choices_of(part)]
        if not choices:
            yield flat
            return
        for chosen in product(*choices):
            yield from ([*flat, *more] for more in self._readings(chosen, depth + 1))

    def _flattened(self, parts: Parts) -> list[Json] | None:
        """The parts and everything that they refer to; None if one of them forbids everything."""
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
        """Values to try, and whether they are certain to be valid."""
        keywords = keywords_of(reading)
        if not STATING.isdisjoint(keywords):
            for stated in self._stated(reading, path):
                yield deepcopy(stated), False
        if "const" in keywords or "enum" in keywords:
            return
        sure = not self._wary and TRICKY.isdisjoint(keywords)
        for kind in kinds_of(reading, path):
            for value in self._of_kind(kind, reading, path):
                yield value, sure

    def _stated(self, reading: Parts, path: Path) -> Iterator[Any]:
        """The values that the schema itself lists. A default of null does not show a success."""
        yield from given(reading, "const")
        yield from (default for default in given(reading, "default") if default is not None)
        yield from (examples[0] for examples in given(reading, "examples") if examples)
        yield from given(reading, "example")
        for members in given(reading, "enum")[:1]:
            yield from self._in_order(members, name_of(path))

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
                return strings(name_of(path), text_rules(reading), self._rng)
            case "number" | "integer":
                return numbers(kind, reading, name_of(path), self._rng)
            case "boolean":
                positive = not speaks_of_failure(name_of(path))
                return iter((positive, not positive))
            case _:
                return iter((None,))

    def _objects(self, reading: Parts, path: Path) -> Iterator[Json]:
        if not path and all(MEMBERS.isdisjoint(part) for part in reading):
            yield {"success": True}
        for generous in dict.fromkeys((len(path) < GENEROUS_DEPTH, False)):
            with suppress(_Stuck):
                yield self._object(reading, path, generous)

    def _object(self, reading: Parts, path: Path, generous: bool) -> Json:
        value = {key: self._property(reading, path, key) for key in names_in(reading, "required")}
        room = min(given(reading, "maxProperties"), default=BUDGET) - len(value)
        if generous and room > 0:
            # A success has no property that reports a failure.
            named = (key for key in names_in(reading, "properties") if not speaks_of_failure(key))
            optional = [key for key in named if key not in value]
            value |= islice(self._fitting(reading, path, optional), room)
        while missing := still_required(reading, value):
            value[missing] = self._property(reading, path, missing)
        return self._filled(reading, path, value, generous)

    def _filled(self, reading: Parts, path: Path, value: Json, generous: bool) -> Json:
        """Add as many free-form properties as required; at least one if there are no others."""
        least = max(given(reading, "minProperties"), default=0)
        wanted = max(least, 1 if generous and not value and is_map(reading) else 0)
        if len(value) < wanted:
            names = (name for name in self._free_names(reading, path) if name not in value)
            value |= islice(self._fitting(reading, path, names), wanted - len(value))
        if len(value) < least:
            raise _Stuck
        return value

    def _property(self, reading: Parts, path: Path, key: str) -> Any:
        return self.draw(property_parts(reading, key), (*path, key))

    def _fitting(self, reading: Parts, path: Path, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
        for key in keys:
            with suppress(_Stuck):
                yield key, self._property(reading, path, key)

    def _free_names(self, reading: Parts, path: Path) -> Iterator[str]:
        for pattern in names_in(reading, "patternProperties"):
            yield from islice(strings("", TextRules(patterns=(pattern,)), self._rng), 9)
        for _ in range(TRIES):
            yield self.draw([{"type": "string"}, *given(reading, "propertyNames")], (*path, "id"))

    def _arrays(self, reading: Parts, path: Path) -> Iterator[list[Any]]:
        contained = [part["contains"] for part in reading for _ in range(fewest_contained(part))]
        least = ceil(max([*given(reading, "minItems"), len(contained)]))
        listed = max(map(len, given(reading, "prefixItems")), default=0)
        usual = max(least, listed + len(contained), 2 if len(path) < GENEROUS_DEPTH else 0)
        usual = floor(min([*given(reading, "maxItems"), usual]))
        for length in dict.fromkeys((usual, least)):
            with suppress(_Stuck):
                yield self._array(reading, path, length, least, contained)

    def _array(self, reading: Parts, path: Path, length: int, least: int, contained: list[Any]) -> list[Any]:
        """That many elements, those matching `contains` last; fewer if no more can be found and none are needed."""
        items: list[Any] = []
        for index in range(length):
            special = contained[length - index - 1 :][:1] or not_contained(reading)
            parts = [*item_parts(reading, index), *special, *different(reading, items)]
            try:
                items.append(self.draw(parts, (*path, index)))
            except _Stuck:
                if contained or index < least:
                    raise
                break
        return items
