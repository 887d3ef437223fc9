"""Agents, personas, tools, cases and suites that an API stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from mcp_agent_eval.backend.hosted import reading
from mcp_agent_eval.backend.hosted.client import ApiClient, Method
from mcp_agent_eval.backend.hosted.finding import PAGE, Entry, everything, is_id, pick
from mcp_agent_eval.backend.hosted.server import Server
from mcp_agent_eval.engine.records.references import nothing
from mcp_agent_eval.errors import NotFound, NotSupported
from mcp_agent_eval.types import Json, Kind, Page
from mcp_agent_eval.types.nouns import Noun, list_filters

_PATHS: Mapping[Kind, str] = {
    "agent": "/agents",
    "persona": "/agent-eval/personas",
    "tool": "/tools",
    "case": "/agent-eval/cases",
    "suite": "/agent-eval/suites",
}
_OURS: Mapping[Kind, frozenset[str]] = {
    "agent": frozenset({"model", "variables", "tool_ids", "endpoint"}),
    "persona": frozenset({"model"}),
    "tool": frozenset({"parameters", "output_schema"}),
    "case": frozenset({"tool_mocks"}),
    "suite": frozenset(),
}
"""Our own fields, which the vendor's records do not have."""
_SIMULATED = ("trace", "named_results", "slot_values", "ended_at_step_id")
_KEY_IN_BODY: tuple[Kind, ...] = ("agent", "tool")


class Nouns:
    """The five verbs of every noun, and finding one by name."""

    def __init__(self, client: ApiClient, server: Server) -> None:
        self._client = client
        self._server = server
        self._seen: set[tuple[Kind, str]] = set()

    async def create(self, kind: Kind, draft: Json, key: str | None) -> Noun:
        """Create a noun once, even if an answer is lost, provided that the API can recognise a repeated request."""
        body, headers, repeatable = await self._request(kind, draft, key or str(uuid4()))
        if key and not repeatable:
            raise NotSupported(f"The hosted API does not accept an idempotency key for a {kind}.")
        answer = await self._client.send(
            "POST", _PATHS[kind], body=body, headers=headers, repeatable=repeatable
        )
        return self._noticed(kind, reading.noun(kind, answer))

    async def get(self, kind: Kind, id: str) -> Noun:
        """One noun by its id."""
        return self._noticed(kind, reading.noun(kind, await self._one("GET", kind, id)))

    async def list(
        self, kind: Kind, *, limit: int, offset: int, filters: Mapping[str, str | None]
    ) -> Page[Noun]:
        """A page of one kind."""
        given = list_filters(kind, filters)
        answer = await self._client.get(_PATHS[kind], {"limit": limit, "offset": offset, **given})
        found = [self._noticed(kind, reading.noun(kind, row)) for row in reading.rows_of(answer)]
        return reading.page(found, answer, limit=limit, offset=offset)

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        """Replace the given fields."""
        ours = await self._server.has("idempotency_key")
        body = changes if ours else _for_the_vendor(kind, changes)
        return self._noticed(kind, reading.noun(kind, await self._one("PATCH", kind, id, body)))

    async def delete(self, kind: Kind, id: str) -> None:
        """Delete a noun."""
        self._seen.discard((kind, id))
        await self._one("DELETE", kind, id)

    async def find(self, kind: Kind, reference: str) -> str:
        """The id for an id, a name or the beginning of an id."""
        if is_id(reference):
            return await self._existing(kind, reference.lower())

        async def page(offset: int) -> tuple[Sequence[Entry], bool]:
            found = await self.list(kind, limit=PAGE, offset=offset, filters={})
            return [(noun.id, noun.name) for noun in found.data], found.has_more

        return pick(kind, reference, await everything(page))

    async def simulate_flow(
        self, agent_id: str, transcript: Sequence[Json], mocks: Json, flow_config: Json | None
    ) -> Json:
        """Have the API walk an agent's flow."""
        body: Json = {"transcript": list(transcript), "mock_tool_results": mocks}
        if flow_config is not None:
            body["flow_config"] = flow_config
        if not is_id(agent_id):
            raise nothing("agent", agent_id)
        try:
            path = f"{_PATHS['agent']}/{agent_id}/flow/test"
            answer = await self._client.send("POST", path, body=body, repeatable=True)
        except NotFound:
            raise nothing("agent", agent_id) from None
        return {name: answer.get(name) for name in _SIMULATED}

    async def _existing(self, kind: Kind, id: str) -> str:
        """The id, once it is known to exist: requested only if it was never seen."""
        if (kind, id) not in self._seen:
            await self.get(kind, id)
        return id

    async def _request(self, kind: Kind, draft: Json, key: str) -> tuple[Json, dict[str, str], bool]:
        """The body and headers of a creation, and whether they make it safe to repeat."""
        if await self._server.has("idempotency_key"):
            return draft, {"Idempotency-Key": key}, True
        body = _for_the_vendor(kind, draft)
        if kind in _KEY_IN_BODY:
            return body | {"idempotency_key": key}, {}, True
        return body, {}, False

    async def _one(self, method: Method, kind: Kind, id: str, body: Json | None = None) -> Json:
        if not is_id(id):
            raise nothing(kind, id)
        try:
            return await self._client.send(method, f"{_PATHS[kind]}/{id}", body=body, repeatable=True)
        except NotFound as exc:
            raise (exc if method == "PATCH" and exc.hint else nothing(kind, id)) from None

    def _noticed(self, kind: Kind, noun: Noun) -> Noun:
        self._seen.add((kind, noun.id))
        return noun


def _for_the_vendor(kind: Kind, fields: Json) -> Json:
    """The fields without our own empty ones. Raises NotSupported for one of our own that is set."""
    meant = sorted(name for name in _OURS[kind] & fields.keys() if fields[name])
    if meant:
        raise NotSupported(
            f"The hosted API does not store {', '.join(meant)} with a {kind}.",
            hint="Leave it out, or use AGENT_EVAL_BACKEND=embedded.",
        )
    return {name: value for name, value in fields.items() if name not in _OURS[kind]}
