"""Turns anything that a caller sent into a checked value, or into one sentence per problem."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mcp_agent_eval.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], value: Any) -> M:
    """`value` as a `model`.

    Raises:
        InvalidInput: names every field that does not fit, what is wrong with it, and the fields that exist.
    """
    reject_unwritable(value)
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise InvalidInput(explain(exc, known=list(model.model_fields))) from None


def reject_unwritable(value: Any) -> None:
    """Refuse what Python's JSON reader accepts but JSON cannot express: NaN, the infinities, and field names that
    contain half of a surrogate pair."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput("A number is NaN, infinite or too large for JSON.")
    if isinstance(value, dict):
        for name, item in cast(dict[object, Any], value).items():
            _reject_half_pairs(name)
            reject_unwritable(item)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            reject_unwritable(item)


def _reject_half_pairs(name: object) -> None:
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "The name of a field contains half of a surrogate pair, which is not a character."
        ) from None


def reject_unknown(
    given: Mapping[str, Any], known: Collection[str], what: str, *, shown: Collection[str] = ()
) -> None:
    """Refuse unknown keys, and name the known ones, or only those in `shown` when there are many."""
    if unknown := sorted(given.keys() - set(known)):
        named = ", ".join(shown or known)
        more = f", and {len(known) - len(shown)} more" if shown else ""
        raise InvalidInput(
            f"{what} has no field {', '.join(map(quoted, unknown))}. Its fields are: {named}{more}."
        )


def quoted(text: str) -> str:
    """A name or a reference for a message, cut so that the rest of the message is still read."""
    return repr(clipped(text))


def clipped(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def key_of_another(what: str) -> InvalidInput:
    """The error for an idempotency key that was already used for something else."""
    return InvalidInput(
        f"This idempotency_key has already started a run of another {what}.",
        hint="Use a new key for a new run.",
    )


def key_of_other_overrides() -> InvalidInput:
    """The error for an idempotency key that was used for the same thing with other overrides."""
    return InvalidInput(
        "This idempotency_key has already started a run with other agent_overrides.",
        hint="Use a new key for a new run.",
    )


def explain(exc: ValidationError, known: list[str] | None = None) -> str:
    """A validation error in plain words: where, what, and never the rejected value."""
    problems = exc.errors(include_url=False)
    text = "; ".join(map(_sentence, problems[:_MOST]))
    if len(problems) > _MOST:
        text += f"; and {len(problems) - _MOST} more"
    if known and any(p["type"] == "extra_forbidden" and len(p["loc"]) == 1 for p in problems):
        text += f". The fields are: {', '.join(known)}"
    return text + "."


def _sentence(problem: ErrorDetails) -> str:
    """A problem with its place; a problem with the whole value has no place."""
    where, what = spelled(problem["loc"]), what_is_wrong(problem)
    if where:
        return f"{where}: {what}"
    if what.startswith("must "):
        return f"The value {what}"
    return what if _POINTED.match(what) else f"{what[:1].upper()}{what[1:]}"


def spelled(loc: Sequence[int | str]) -> str:
    """The path of a value as people write it: `success_criteria[0].pattern`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".")


def what_is_wrong(problem: ErrorDetails) -> str:
    """What is wrong with a value, in plain words and without the value."""
    kind = problem["type"]
    if known := _WORDS.get(kind):
        limits = {name: f"{limit:.15g}" for name, limit in problem.get("ctx", {}).items() if name in _LIMITS}
        return known.format(**limits) + (_given(problem) if kind.endswith("_type") else "")
    text = _SHOULD.sub("must ", problem["msg"].removeprefix("Value error, "))
    return text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def _given(problem: ErrorDetails) -> str:
    """What kind of value was given instead of the right one; empty when the value is withheld as a secret."""
    if "input" not in problem:
        return ""
    value = problem["input"]
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        return ", not text containing JSON"
    return next((f", not {name}" for type, name in _KINDS.items() if isinstance(value, type)), "")


_MOST = 8
_LONGEST = 80
_POINTED = re.compile(r"\w+(\.\w+|\[\d+\])*: ")
"""How the message of a rule about several fields begins when it names one of them."""
_LIMITS = ("ge", "le", "gt", "lt")
_SHOULD = re.compile(r"(?:Input|String|List|Dictionary|Value) should ")
_OBJECT, _WHOLE, _NUMBER, _TRUTH = (
    "must be an object",
    "must be a whole number",
    "must be a number",
    "must be true or false",
)
_WORDS: Mapping[str, str] = {
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "less_than": "must be below {lt}",
}
# Python counts a boolean as a number, so it comes first.
_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    str: "text",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
