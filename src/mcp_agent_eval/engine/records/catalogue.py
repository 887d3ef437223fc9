"""Creates, reads, changes and deletes the nouns, and refuses anything that could never work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.flows.simulator import simulate
from mcp_agent_eval.engine.records.attachments import attach_tools, shared_ids, with_tools
from mcp_agent_eval.engine.records.preflight import (
    check_agent,
    check_case,
    check_model,
    check_tool,
    tool_references,
)
from mcp_agent_eval.engine.records.snapshot import effective
from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.errors import InvalidInput, NotFound
from mcp_agent_eval.types import (
    Agent,
    AgentDraft,
    Case,
    Json,
    Kind,
    Page,
    Persona,
    ToolRecord,
    now,
)
from mcp_agent_eval.types.nouns import DRAFTS, FIXED, NOUNS, Draft, Noun, list_filters
from mcp_agent_eval.validation import quoted, reject_unknown, validated


class Catalogue:
    """Agents, personas, tools, cases and suites in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, kind: Kind, draft: Json, key: str | None) -> Noun:
        """Check a draft and store it under a new id, or return the noun that `key` created before."""
        cls = NOUNS[kind]

        def work(connection: Connection) -> Noun:
            if key and (earlier := nouns.created_by(connection, cls, key)):
                return _expanded(connection, earlier)
            noun = _new(kind, draft)
            _check(connection, noun)
            nouns.insert(connection, noun)
            if key:
                nouns.keep_creation(connection, noun, key)
            return _expanded(connection, noun)

        return await self._database.write(work)

    async def get(self, kind: Kind, id: str) -> Noun:
        """One noun; a case comes with its agent and persona, even if these have since been deleted."""
        return await self._database.read(
            lambda connection: _expanded(connection, require(connection, kind, id))
        )

    async def list(
        self, kind: Kind, *, limit: int, offset: int, filters: dict[str, str | None]
    ) -> Page[Noun]:
        """A page of one kind; cases come expanded."""
        given = list_filters(kind, filters)

        def work(connection: Connection) -> Page[Noun]:
            page = nouns.page(connection, NOUNS[kind], limit=limit, offset=offset, **given)
            return page.model_copy(update={"data": _expand(connection, page.data)})

        return await self._database.read(work)

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        """Replace the given fields, and check again what depends on them."""
        for name, reason in FIXED[kind].items():
            if name in changes:
                raise InvalidInput(f"{name} cannot be changed. {reason}")

        def work(connection: Connection) -> Noun:
            stored = require(connection, kind, id)
            noun = _changed(kind, stored, changes)
            _check(connection, noun)
            nouns.replace(connection, noun)
            return _expanded(connection, noun)

        return await self._database.write(work)

    async def delete(self, kind: Kind, id: str) -> None:
        """Delete a noun; runs that used it keep it."""
        cls, at = NOUNS[kind], now()
        if not await self._database.write(lambda connection: nouns.soft_delete(connection, cls, id, at)):
            raise not_found(kind, id)

    async def simulate_flow(
        self, agent_id: str, transcript: Sequence[Json], mocks: Json, flow_config: Json | None
    ) -> Json:
        """Walk an agent's flow, or another flow in its place, without any model."""
        override = {"flow_config": flow_config} if flow_config is not None else {}

        def work(connection: Connection) -> AgentDraft:
            agent = cast(Agent, require(connection, "agent", agent_id))
            return effective(with_tools(connection, agent, override), override)

        agent = await self._database.read(work)
        if agent.flow_config is None:
            raise InvalidInput(f"The agent {agent.name!r} is of type {agent.type!r} and has no flow to walk.")
        flow = read_flow(agent.flow_config, tools=tool_references(agent))
        return simulate(flow, transcript, mocks)


def _new(kind: Kind, draft: Json) -> Noun:
    checked = _own_tools(validated(DRAFTS[kind], draft))
    return NOUNS[kind].model_validate({"id": str(uuid4())} | checked.model_dump(mode="json"))


def _changed(kind: Kind, stored: Noun, changes: Json) -> Noun:
    """The stored noun with changes applied, checked as a whole."""
    fields = list(DRAFTS[kind].model_fields)
    reject_unknown(changes, fields, kind)
    written = stored.model_dump(mode="json", include=set(fields))
    draft = _own_tools(validated(DRAFTS[kind], written | changes))
    kept = {
        "id": stored.id,
        "company_id": stored.company_id,
        "created_at": stored.created_at,
        "updated_at": now(),
    }
    return NOUNS[kind].model_validate(kept | draft.model_dump(mode="json"))


def _own_tools(draft: Draft) -> Draft:
    """An agent's draft without attached tools: answers contain them, so requests send them back."""
    if not isinstance(draft, AgentDraft):
        return draft
    shared = shared_ids(draft)
    own = [tool.model_copy(update={"id": None}) for tool in draft.tools if tool.id not in shared]
    return draft.model_copy(update={"tools": own})


def require(connection: Connection, kind: Kind, id: str) -> Noun:
    """The noun. Raises NotFound if there is none."""
    if found := nouns.get(connection, NOUNS[kind], id):
        return found
    raise not_found(kind, id)


def not_found(kind: str, id: str) -> NotFound:
    """The error for a noun that does not exist."""
    return NotFound(
        f"There is no {kind} {quoted(id)}.", hint=f'Call list(kind="{kind}") to see what there is.'
    )


def agent_gone(case: Case) -> NotFound:
    """The error for a case whose agent was deleted."""
    return NotFound(
        f"The agent of the case {quoted(case.name)} was deleted, so the case cannot be run.",
        hint="A case keeps its agent: create another case with create_case, for another agent.",
    )


def _check(connection: Connection, noun: Noun) -> None:
    """Refuse what could never work together."""
    if isinstance(noun, Agent):
        for id in noun.tool_ids:
            require(connection, "tool", id)
        check_agent(with_tools(connection, noun))
    elif isinstance(noun, Persona):
        check_model(noun.model)
    elif isinstance(noun, ToolRecord):
        check_tool(noun)
    elif isinstance(noun, Case):
        _check_case(connection, noun)
    elif noun.agent_id is not None:
        require(connection, "agent", noun.agent_id)


def _check_case(connection: Connection, case: Case) -> None:
    agent = nouns.get(connection, Agent, case.agent_id, deleted=True)
    if agent is None:
        raise not_found("agent", case.agent_id)
    if agent.deleted_at is not None:
        raise agent_gone(case)
    require(connection, "persona", case.persona_id)
    if case.suite_id is not None:
        require(connection, "suite", case.suite_id)
    resolved = with_tools(connection, agent, case.agent_overrides)
    check_case(case, effective(resolved, case.agent_overrides))


def _expanded(connection: Connection, noun: Noun) -> Noun:
    return _expand(connection, [noun])[0]


def _expand(connection: Connection, found: Sequence[Noun]) -> list[Noun]:
    """Cases with their agents and personas, each of which is read once; agents with the tools attached to them."""
    cases = [noun for noun in found if isinstance(noun, Case)]
    stored = nouns.get_many(connection, Agent, list({case.agent_id for case in cases}), deleted=True)
    stored |= {noun.id: noun for noun in found if isinstance(noun, Agent)}
    agents = {agent.id: agent for agent in attach_tools(connection, stored.values())}
    personas = nouns.get_many(connection, Persona, list({case.persona_id for case in cases}), deleted=True)

    def expanded(noun: Noun) -> Noun:
        if isinstance(noun, Case):
            parts = {"agent": agents[noun.agent_id], "persona": personas[noun.persona_id]}
            return noun.model_copy(update=parts)
        return agents[noun.id] if isinstance(noun, Agent) else noun

    return [expanded(noun) for noun in found]
