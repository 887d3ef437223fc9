"""Agents, personas, tools, cases and suites: the same five verbs for each."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from starlette.responses import Response

from mcp_agent_eval.api.bodies import JsonObject
from mcp_agent_eval.api.parameters import CaseQuery, Id, IdempotencyKey, Key, Paging
from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.api.routes.endpoints import Answers, Operation, add, link
from mcp_agent_eval.api.schemas import changes_name, draft_name
from mcp_agent_eval.api.shapes import LISTS, page_answer
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json, Kind, now
from mcp_agent_eval.types.base import Model
from mcp_agent_eval.types.nouns import NOUNS
from mcp_agent_eval.validation import validated

_PATHS: dict[Kind, str] = {
    "persona": "/agent-eval/personas",
    "case": "/agent-eval/cases",
    "suite": "/agent-eval/suites",
    "agent": "/agents",
    "tool": "/tools",
}
_KEY_IN_BODY: frozenset[Kind] = frozenset({"agent", "tool"})


class NounVerbs:
    """The five verbs of one kind."""

    def __init__(self, backend: Backend, kind: Kind) -> None:
        self._backend = backend
        self._kind: Kind = kind

    async def list(self, page: Annotated[Paging, Query()]) -> Response:
        """Everything that is not deleted: personas by name, all others newest first."""
        return answer(page_answer(await self._backend.list(self._kind, limit=page.limit, offset=page.offset)))

    async def list_cases(self, page: Annotated[CaseQuery, Query()]) -> Response:
        """Cases that are not deleted, newest first, each with its agent and persona."""
        return answer(page_answer(await self._backend.list(self._kind, **page.model_dump())))

    async def create(self, body: JsonObject, idempotency_key: IdempotencyKey = None) -> Response:
        """Returns 200 instead of 201 if the idempotency key was already used, with what was created then."""
        draft, key = _split(self._kind, body, idempotency_key)
        arrived = now()
        noun = await self._backend.create(self._kind, draft, idempotency_key=key)
        return answer(noun, 200 if noun.created_at < arrived else 201)

    async def get(self, id: Id) -> Response:
        """One that is not deleted."""
        return answer(await self._backend.get(self._kind, id))

    async def update(self, id: Id, body: JsonObject) -> Response:
        """Replaces each given field as a whole."""
        return answer(await self._backend.update(self._kind, id, body))

    async def delete(self, id: Id) -> Response:
        """Deletes it. Runs that used it stay readable."""
        await self._backend.delete(self._kind, id)
        return answer({"success": True})


def add_nouns(app: FastAPI, backend: Backend) -> None:
    """The verbs of every kind."""
    for kind in _PATHS:
        verbs = NounVerbs(backend, kind)
        add(app, verbs.list_cases if kind == "case" else verbs.list, _list(kind))
        add(app, verbs.create, _create(kind))
        add(app, verbs.get, _get(kind))
        add(app, verbs.update, _update(kind))
        add(app, verbs.delete, _delete(kind))


def _list(kind: Kind) -> Operation:
    return Operation(
        id=f"list_{kind}s",
        method="GET",
        path=_PATHS[kind],
        summary=f"List {kind}s",
        tag=f"{kind}s",
        action="read",
        query=CaseQuery if kind == "case" else Paging,
        answers={200: Answers(LISTS[kind].__name__, f"A page of {kind}s.")},
    )


def _create(kind: Kind) -> Operation:
    schema, links = NOUNS[kind].__name__, _links(kind)
    return Operation(
        id=f"create_{kind}",
        method="POST",
        path=_PATHS[kind],
        summary=f"Create {_named(kind)}",
        tag=f"{kind}s",
        action="create",
        body=draft_name(kind),
        fails=frozenset({404, 501}),
        answers={
            200: Answers(schema, "What the idempotency key created before.", links),
            201: Answers(schema, f"The new {kind}.", links),
        },
    )


def _get(kind: Kind) -> Operation:
    return Operation(
        id=f"get_{kind}",
        method="GET",
        path=_PATHS[kind] + "/{id}",
        summary=f"Get {_named(kind)}",
        tag=f"{kind}s",
        action="read",
        fails=frozenset({404}),
        answers={200: Answers(NOUNS[kind].__name__, f"The {kind}.")},
    )


def _update(kind: Kind) -> Operation:
    return Operation(
        id=f"update_{kind}",
        method="PATCH",
        path=_PATHS[kind] + "/{id}",
        summary=f"Update {_named(kind)}",
        tag=f"{kind}s",
        action="update",
        body=changes_name(kind),
        fails=frozenset({404, 501}),
        answers={200: Answers(NOUNS[kind].__name__, f"The {kind} as it is now.")},
    )


def _delete(kind: Kind) -> Operation:
    return Operation(
        id=f"delete_{kind}",
        method="DELETE",
        path=_PATHS[kind] + "/{id}",
        summary=f"Delete {_named(kind)}",
        tag=f"{kind}s",
        action="delete",
        fails=frozenset({404, 501}),
        answers={200: Answers("Deleted", f"The {kind} is deleted.")},
    )


def _named(kind: Kind) -> str:
    return f"an {kind}" if kind == "agent" else f"a {kind}"


def _links(kind: Kind) -> dict[str, Json]:
    """Links from a new noun to all operations on it."""
    links = {verb: link(f"{verb}_{kind}", id="$response.body#/id") for verb in ("get", "update", "delete")}
    if kind == "case":
        links["run"] = link("run_case", case_id="$response.body#/id")
    if kind == "suite":
        links |= {
            "run": link("run_suite", id="$response.body#/id"),
            "list_runs": link("list_suite_runs", id="$response.body#/id"),
        }
    return links


class _Keyed(Model):
    idempotency_key: Key


def _split(kind: Kind, body: Json, header: str | None) -> tuple[Json, str | None]:
    """A draft and its idempotency key, which may also be in the body of an agent or a tool."""
    if kind not in _KEY_IN_BODY or "idempotency_key" not in body:
        return body, header
    draft = {name: value for name, value in body.items() if name != "idempotency_key"}
    key = validated(_Keyed, {"idempotency_key": body["idempotency_key"]}).idempotency_key
    if header is not None and header != key:
        raise InvalidInput("idempotency_key differs between the body and the header.")
    return draft, key
