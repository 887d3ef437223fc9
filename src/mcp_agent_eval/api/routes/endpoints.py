"""Adds a route with its scope, its known query parameters and all possible responses, so that the published
document is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from mcp_agent_eval.api.document import BEARER
from mcp_agent_eval.api.parameters import Nothing, only
from mcp_agent_eval.api.schemas import reference
from mcp_agent_eval.api.scopes import needs
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.caller import Action, scope_of

Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Answers:
    """A successful answer: the name of its schema, its meaning, and links to what can follow."""

    schema: str
    means: str
    links: Mapping[str, Json] = field(default_factory=dict[str, Json])
    headers: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Everything about a route that is not its handler."""

    id: str
    method: str
    path: str
    summary: str
    tag: str
    action: Action | None
    answers: Mapping[int, Answers]
    fails: frozenset[int] = frozenset()
    query: type[BaseModel] = Nothing
    body: str | None = None
    body_required: bool = True


def add(app: FastAPI, handler: Handler, operation: Operation) -> None:
    """Route requests to a handler."""
    dependencies = [Depends(needs(operation.action))] if operation.action else []
    app.add_api_route(
        operation.path,
        handler,
        methods=[operation.method],
        operation_id=operation.id,
        summary=operation.summary,
        description=handler.__doc__ or operation.summary,
        tags=[operation.tag],
        dependencies=[*dependencies, Depends(only(operation.query))],
        status_code=min(operation.answers),
        response_model=None,
        responses=_responses(operation),
        openapi_extra=_extra(operation),
    )


_ALWAYS = frozenset({400, 401, 403, 413, 429, 500, 502, 503})
"""Refusals that any operation may return, whether from access control or from a remote backend."""

_OPEN = frozenset({400, 403, 413, 429, 500})
"""Refusals of operations that need neither a key nor a backend."""


def _responses(operation: Operation) -> dict[int | str, Json]:
    failures = operation.fails | (_ALWAYS if operation.action else _OPEN)
    if operation.body:
        failures |= {415}
    found: dict[int | str, Json] = {status: _success(answer) for status, answer in operation.answers.items()}
    return found | {status: _failure(status) for status in sorted(failures)}


def _success(answer: Answers) -> Json:
    found = {"description": answer.means, "content": _json(answer.schema)}
    if answer.links:
        found["links"] = dict(answer.links)
    if answer.headers:
        found["headers"] = dict(answer.headers)
    return found


def _failure(status: int) -> Json:
    return {"description": HTTPStatus(status).phrase, "content": _json("Failure")}


def _json(schema: str) -> Json:
    return {"application/json": {"schema": reference(schema)}}


def _extra(operation: Operation) -> Json:
    extra: Json = {}
    if operation.action:
        extra["security"] = [{BEARER: [scope_of(operation.action)]}]
    if operation.body:
        extra["requestBody"] = {"required": operation.body_required, "content": _json(operation.body)}
    return extra


def link(operation_id: str, **parameters: str) -> Json:
    """Links to what can follow an answer, in OpenAPI's form."""
    return {"operationId": operation_id, "parameters": parameters}
