"""JSON Schema, draft 2020-12, for untrusted schemas and values: nothing is fetched, and every check ends.

jsonschema passes patterns to Python's `re`, whose searches can be neither bounded nor interrupted. Here the four
keywords with patterns use `patterns` instead, with one time limit for all searches of a check. Patterns are
case-sensitive.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, cast

from mcp_agent_eval.engine.matching.patterns import TIME_LIMIT, PatternTimeout, find
from mcp_agent_eval.errors import InvalidPattern
from mcp_agent_eval.types import Json

_GLOBAL_FLAGS = re.compile(r"\(\?([aiLmsux]+)\)")
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class Uncheckable(ValueError):
    """A schema that no value can be checked against. The message says why and is only about the schema."""


def violations(schema: Json, value: object) -> list[Any]:
    """The problems with a value, as jsonschema's errors: the keyword, its value, and the place.

    Raises:
        Uncheckable: the schema is not valid, refers to something outside itself, or takes too long.
    """
    from referencing.exceptions import Unresolvable

    try:
        with patterns_within(TIME_LIMIT):
            return list(validator_of(json.dumps(schema)).iter_errors(value))
    except Unresolvable:
        raise Uncheckable("a reference leads nowhere within the schema") from None
    except InvalidPattern as exc:
        raise Uncheckable(f"a pattern cannot be used. {exc.message}") from None
    except PatternTimeout:
        raise Uncheckable("its patterns take too long to search for") from None
    except RecursionError:
        raise Uncheckable("it refers to itself endlessly, or the value is nested too deeply") from None


@contextmanager
def patterns_within(seconds: float) -> Generator[None]:
    """Limit the total time of searches in the block; beyond it they raise `PatternTimeout`."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def matches(pattern: str, text: str) -> bool:
    """Whether a schema's pattern is found in a text.

    Raises:
        InvalidPattern, PatternTimeout: as in `patterns`.
    """
    if time.monotonic() > _deadline.get():
        raise PatternTimeout
    return find(_with_case(pattern), text) is not None


@lru_cache(maxsize=256)
def validator_of(text: str) -> Any:
    """The validator of a schema in JSON. Cached, since it takes milliseconds to build.

    Raises:
        Uncheckable: the schema is not valid.
    """
    from jsonschema import SchemaError
    from referencing.jsonschema import EMPTY_REGISTRY

    schema = without_dialects(json.loads(text))
    try:
        _bounded().check_schema(schema)
    except SchemaError as exc:
        where = "/".join(map(str, exc.absolute_path)) or "its top level"
        raise Uncheckable(f"it is not a valid JSON Schema at {where}") from None
    # Given a registry, jsonschema looks nothing up on the network.
    return _bounded()(schema, registry=EMPTY_REGISTRY)


def without_dialects(part: Any) -> Any:
    """Keep our validator: if a schema names its dialect, jsonschema would continue with its own, and with `re`."""
    if isinstance(part, list):
        return [without_dialects(item) for item in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    entries = cast(Json, part).items()
    return {
        key: without_dialects(item)
        for key, item in entries
        if not (key == "$schema" and isinstance(item, str))
    }


@cache
def _bounded() -> Any:
    """The validator's class. Created late: importing jsonschema is slow."""
    from jsonschema import Draft202012Validator, validators

    extend = cast(Any, validators).extend
    return extend(
        Draft202012Validator,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
            "unevaluatedProperties": _unevaluated_properties,
        },
    )


def _with_case(pattern: str) -> str:
    """A pattern for `patterns`, which ignores case by default."""
    flags = _GLOBAL_FLAGS.match(pattern)
    if flags is None:
        return f"(?-i:{pattern})"
    return f"(?{flags[1]}{'' if 'i' in flags[1] else '-i'}:{pattern[flags.end() :]})"


# --- Keywords, as jsonschema calls them: the validator, the keyword's value, the instance, the whole schema


def _pattern(_validator: Any, pattern: str, instance: object, _schema: Json) -> Iterator[Any]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield _error("does not match")


def _pattern_properties(validator: Any, patterns: Json, instance: object, _schema: Json) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for key, item in cast(Json, instance).items():
            if matches(pattern, key):
                yield from validator.descend(item, subschema, path=key, schema_path=pattern)


def _additional_properties(validator: Any, rest: Any, instance: object, schema: Json) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    values = cast(Json, instance)
    yield from _rest(validator, rest, {key: values[key] for key in values if not _is_declared(key, schema)})


def _unevaluated_properties(validator: Any, rest: Any, instance: object, schema: Json) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    values = cast(Json, instance)
    others = {name: part for name, part in schema.items() if name != "unevaluatedProperties"}
    seen = _evaluated(validator, values, others)
    yield from _rest(validator, rest, {key: values[key] for key in values if key not in seen})


def _rest(validator: Any, schema: Any, values: Json) -> Iterator[Any]:
    """The errors of leftover values. If none are allowed, there is one error for all of them."""
    if schema is False and values:
        yield _error("is too much")
        return
    for key, item in values.items():
        yield from validator.descend(item, schema, path=key)


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)


# --- Which properties of an object some part of a schema has looked at


def _is_declared(key: str, schema: Json) -> bool:
    patterns = cast(Json, schema.get("patternProperties", {}))
    return key in schema.get("properties", {}) or any(matches(pattern, key) for pattern in patterns)


def _evaluated(validator: Any, instance: Json, schema: Any) -> set[str]:
    """The keys evaluated by a schema that holds, including all schemas that it applies in place."""
    if not isinstance(schema, dict):
        return set()
    known = cast(Json, schema)
    keys = {key for key in instance if _is_declared(key, known)}
    if "additionalProperties" in known or "unevaluatedProperties" in known:
        keys = set(instance)
    for inner, part in _in_place(validator, instance, known):
        keys |= _evaluated(inner, instance, part)
    return keys


def _in_place(validator: Any, instance: Json, schema: Json) -> Iterator[tuple[Any, Any]]:
    """The schemas that a schema applies to the same object and that hold, each with its validator."""
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            # jsonschema's way of following references is private, but there is no other way.
            found = validator._resolver.lookup(schema[keyword])
            yield validator.evolve(schema=found.contents, _resolver=found.resolver), found.contents
    for part in _branches(validator, instance, schema):
        if _holds(validator, instance, part):
            yield validator, part


def _branches(validator: Any, instance: Json, schema: Json) -> Iterator[Any]:
    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(keyword, ())
    dependent = cast(Json, schema.get("dependentSchemas", {}))
    yield from (part for key, part in dependent.items() if key in instance)
    if "if" in schema:
        yield schema["if"]
        yield schema.get("then" if _holds(validator, instance, schema["if"]) else "else", True)


def _holds(validator: Any, instance: Json, schema: Any) -> bool:
    return next(validator.descend(instance, schema), None) is None
