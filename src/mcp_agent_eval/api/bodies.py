"""Parses request bodies from bytes to a JSON object. What the object must contain is decided by the seam."""

from __future__ import annotations

import json
import re
from typing import Annotated, NoReturn, cast

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.base import Model
from mcp_agent_eval.validation import validated

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DEEPEST = 100
"""Deepest nesting of lists and objects; anything deeper cannot be written as JSON again by all parts."""


class RunOptions(Model):
    """How one execution differs from its case. `agent_overrides` replaces whole fields of the agent, on top of the
    case's overrides."""

    agent_overrides: Json | None = None


async def _required(request: Request) -> Json:
    if not await request.body():
        raise InvalidInput("The body must be a JSON object, but it is missing.")
    return await _object(request)


async def _run_options(request: Request) -> RunOptions:
    if not await request.body():
        return RunOptions()
    return validated(RunOptions, await _object(request))


JsonObject = Annotated[Json, Depends(_required)]
"""The body, which must be a JSON object."""

Options = Annotated[RunOptions, Depends(_run_options)]
"""The body of a start, which may be absent."""


async def _object(request: Request) -> Json:
    _require_json(request.headers.get("content-type", ""))
    body = await request.body()
    value = _as_object(_parsed(body))
    _reject_too_deep(value)
    _reject_half_pairs(body, value)
    return value


def _require_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, "The body must be JSON: send it with Content-Type: application/json.")


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise InvalidInput(f"The body is not valid JSON at {where}: {exc.msg}.") from None
    except UnicodeDecodeError:
        raise InvalidInput("The body is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise InvalidInput("The body contains a number that is too long, or is nested too deeply.") from None


def _as_object(value: object) -> Json:
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.")
    return cast(Json, value)


def _no_constant(name: str) -> NoReturn:
    raise InvalidInput(f"The body is not valid JSON: {name} is not a number in JSON.")


def _reject_too_deep(value: Json) -> None:
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [item for container in level for item in _items(container)]
        if not level:
            return
    raise InvalidInput(f"The body is nested deeper than {_DEEPEST} levels.")


def _reject_half_pairs(body: bytes, value: Json) -> None:
    """Refuse text that cannot be encoded: JSON can express half of a surrogate pair, and Python accepts it."""
    if not _SURROGATE.search(body):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput("The body contains half of a surrogate pair, which is not a character.") from None


def _items(container: object) -> list[object]:
    """The lists and objects directly within one."""
    values = cast(Json, container).values() if isinstance(container, dict) else cast(list[object], container)
    return [value for value in values if isinstance(value, dict | list)]
