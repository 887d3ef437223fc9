"""The nouns: made, read, changed and taken out of use, with everything refused that could never work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

from mcp_agent_eval.engine.preflight import check_case
from mcp_agent_eval.engine.snapshot import effective
from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.errors import InvalidInput, NotFound
from mcp_agent_eval.types import (
    Agent,
    AgentDraft,
    Case,
    CaseDraft,
    Json,
    Kind,
    Page,
    Persona,
    PersonaDraft,
    Suite,
    SuiteDraft,
    now,
)
from mcp_agent_eval.validation import reject_unknown, validated

Noun = Agent | Persona | Case | Suite

_DRAFTS: dict[Kind, type[AgentDraft | PersonaDraft | CaseDraft | SuiteDraft]] = {
    "agent": AgentDraft,
    "persona": PersonaDraft,
    "case": CaseDraft,
    "suite": SuiteDraft,
}
_FIXED: dict[Kind, dict[str, str]] = {
    "agent": {"type": "An agent keeps its type: create another agent."},
    "persona": {},
    "case": {"agent_id": "A case keeps its agent: create another case for another agent."},
    "suite": {},
}


class Catalogue:
    """Agents, personas, cases and suites in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, kind: Kind, draft: Json) -> Noun:
        """Check a draft and store it under a new id."""
        checked = validated(_DRAFTS[kind], draft)
        noun = nouns.CLASSES[kind].model_validate({"id": str(uuid4())} | checked.model_dump(mode="json"))

        def work(connection: Connection) -> Noun:
            _check(connection, noun)
            nouns.insert(connection, noun)
            return _expanded(connection, noun)

        return await self._database.write(work)

    async def get(self, kind: Kind, id: str) -> Noun:
        """One noun; a case with its agent and persona, also when these were deleted since."""
        return await self._database.read(
            lambda connection: _expanded(connection, require(connection, kind, id))
        )

    async def list(
        self, kind: Kind, *, limit: int, offset: int, filters: dict[str, str | None]
    ) -> Page[Noun]:
        """A page of one kind; cases come expanded."""
        given = {name: value for name, value in filters.items() if value is not None}
        reject_unknown(given, _FILTERS if kind == "case" else (), f"list of {kind}s")

        def work(connection: Connection) -> Page[Noun]:
            page = nouns.page(connection, nouns.CLASSES[kind], limit=limit, offset=offset, **given)
            return page.model_copy(update={"data": _expand(connection, page.data)})

        return await self._database.read(work)

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        """Replace the given fields. What depends on them is checked again."""
        for name, reason in _FIXED[kind].items():
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
        """Take a noun out of use."""
        cls, at = nouns.CLASSES[kind], now()
        if not await self._database.write(lambda connection: nouns.soft_delete(connection, cls, id, at)):
            raise not_found(kind, id)


_FILTERS = ("agent_id", "persona_id", "suite_id")


def _changed(kind: Kind, stored: Noun, changes: Json) -> Noun:
    """The stored noun with changes applied, checked as a whole."""
    fields = set(_DRAFTS[kind].model_fields)
    reject_unknown(changes, fields, kind)
    draft = validated(_DRAFTS[kind], stored.model_dump(mode="json", include=fields) | changes)
    kept = {
        "id": stored.id,
        "company_id": stored.company_id,
        "created_at": stored.created_at,
        "updated_at": now(),
    }
    return nouns.CLASSES[kind].model_validate(kept | draft.model_dump(mode="json"))


def require(connection: Connection, kind: Kind, id: str) -> Noun:
    """The noun, which must be there. Raises NotFound."""
    if found := nouns.get(connection, nouns.CLASSES[kind], id):
        return found
    raise not_found(kind, id)


def not_found(kind: str, id: str) -> NotFound:
    """The error for a noun that is not there."""
    return NotFound(f"There is no {kind} {id!r}.", hint=f'Call list(kind="{kind}") to see what there is.')


def _check(connection: Connection, noun: Noun) -> None:
    """Refuse what could never work together."""
    if isinstance(noun, Suite) and noun.agent_id:
        require(connection, "agent", noun.agent_id)
    if not isinstance(noun, Case):
        return
    agent = cast(Agent, require(connection, "agent", noun.agent_id))
    require(connection, "persona", noun.persona_id)
    if noun.suite_id:
        require(connection, "suite", noun.suite_id)
    check_case(noun, effective(agent, noun.agent_overrides or {}))


def _expanded(connection: Connection, noun: Noun) -> Noun:
    return _expand(connection, [noun])[0]


def _expand(connection: Connection, found: Sequence[Noun]) -> list[Noun]:
    """Cases with their agents and personas, each of which is read once; everything else as it is."""
    cases = [noun for noun in found if isinstance(noun, Case)]
    agents = nouns.get_many(connection, Agent, list({case.agent_id for case in cases}), deleted=True)
    personas = nouns.get_many(connection, Persona, list({case.persona_id for case in cases}), deleted=True)
    return [
        noun.model_copy(update={"agent": agents[noun.agent_id], "persona": personas[noun.persona_id]})
        if isinstance(noun, Case)
        else noun
        for noun in found
    ]
