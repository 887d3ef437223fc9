"""From anything that a caller sent to a checked value, or one sentence per thing that is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from mcp_agent_eval.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], value: Any) -> M:
    """`value` as a `model`.

    Raises:
        InvalidInput: names every field that does not fit, what is wrong with it, and the fields there are.
    """
    reject_unwritable(value)
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise InvalidInput(explain(exc, known=list(model.model_fields))) from None


def reject_unwritable(value: Any) -> None:
    """Refuse what Python's JSON reader lets in and JSON has no way to write: NaN, the infinities, and names of
    fields that hold half of a surrogate pair."""
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
            "The name of a field holds half of a surrogate pair, which is no character."
        ) from None


def reject_unknown(given: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse keys that are not known, and name those that are."""
    if unknown := sorted(given.keys() - set(known)):
        raise InvalidInput(
            f"{what} has no field {', '.join(map(repr, unknown))}. Its fields are: {', '.join(sorted(known))}."
        )


def key_of_another(what: str) -> InvalidInput:
    """The error for an idempotency key that stands for something else already."""
    return InvalidInput(
        f"This idempotency_key started a run of another {what}.", hint="Use a new key for a new run."
    )


def key_of_other_overrides() -> InvalidInput:
    """The error for an idempotency key that started the same with other overrides."""
    return InvalidInput(
        "This idempotency_key started a run with other agent_overrides.", hint="Use a new key for a new run."
    )


def explain(exc: ValidationError, known: list[str] | None = None) -> str:
    """A validation error in plain words: where, what, and never the rejected value."""
    problems = exc.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(f"{_where(problem['loc'])}: {what_is_wrong(problem)}" for problem in problems[:_MOST])
    if len(problems) > _MOST:
        text += f"; and {len(problems) - _MOST} more"
    if known and any(p["type"] == "extra_forbidden" and len(p["loc"]) == 1 for p in problems):
        text += f". The fields are: {', '.join(known)}"
    return text + "."


def what_is_wrong(problem: Any) -> str:
    """One of pydantic's problems in plain words."""
    if problem["type"] == "extra_forbidden":
        return "there is no such field"
    if problem["type"] == "missing":
        return "is required"
    text = str(problem["msg"]).removeprefix("Value error, ")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _where(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".") or "the value as a whole"


_MOST = 8
