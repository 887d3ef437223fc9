"""Stores agents, personas, tools, cases and suites, and lists and finds them. A deleted noun stays, for its runs.

Nouns are requested by class, so that results are typed; `NOUNS` has the class of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.lookup import lookup
from mcp_agent_eval.engine.store.rows import N
from mcp_agent_eval.types import Case, Json, Kind, Page
from mcp_agent_eval.types.base import Stamped
from mcp_agent_eval.types.nouns import NOUNS
from mcp_agent_eval.types.references import name_key

_KINDS: Mapping[type[Stamped], Kind] = {cls: kind for kind, cls in NOUNS.items()}


def insert(connection: Connection, noun: Stamped) -> None:
    """Store a new noun. What a case refers to must already be stored."""
    connection.run(f"insert_{_KINDS[type(noun)]}", **_columns(noun))


def keep_creation(connection: Connection, noun: Stamped, idempotency_key: str) -> None:
    """Remember which request created a noun."""
    kind = _KINDS[type(noun)]
    connection.run("keep_creation", kind=kind, idempotency_key=idempotency_key, noun_id=noun.id)


def created_by(connection: Connection, cls: type[N], idempotency_key: str) -> N | None:
    """The noun created by a request with this key, even if it has since been deleted."""
    row = connection.one("get_creation", kind=_KINDS[cls], idempotency_key=idempotency_key)
    return get(connection, cls, row["noun_id"], deleted=True) if row else None


def replace(connection: Connection, noun: Stamped) -> bool:
    """Replace the noun with this id. False: there is none, or it was deleted."""
    return connection.run(f"replace_{_KINDS[type(noun)]}", **_columns(noun)) == 1


def soft_delete(connection: Connection, cls: type[Stamped], id: str, at: datetime) -> bool:
    """Delete a noun. False: there is none, or it was already deleted."""
    return connection.run(f"delete_{_KINDS[cls]}", id=id, at=rows.to_time(at)) == 1


def get(connection: Connection, cls: type[N], id: str, *, deleted: bool = False) -> N | None:
    """One noun. With `deleted`, also a deleted one."""
    return get_many(connection, cls, [id], deleted=deleted).get(id)


def get_many(
    connection: Connection, cls: type[N], ids: Sequence[str], *, deleted: bool = False
) -> dict[str, N]:
    """The existing nouns, by id. With `deleted`, also deleted ones."""
    found = connection.all(f"get_{_KINDS[cls]}s", ids=list(ids), live=None if deleted else True)
    return {row["id"]: rows.noun(cls, row) for row in found}


def page(
    connection: Connection, cls: type[N], *, limit: int = 20, offset: int = 0, **filters: str | None
) -> Page[N]:
    """A page of nouns that are not deleted: personas by name, everything else newest first.

    Cases are filtered by `agent_id`, `persona_id` and `suite_id`; nothing else has filters.
    """
    kind = _KINDS[cls]
    found = connection.all(f"list_{kind}s", limit=limit, offset=offset, **filters)
    total = connection.all(f"count_{kind}s", **filters)[0]["total"]
    return Page(data=[rows.noun(cls, row) for row in found], total=total, limit=limit, offset=offset)


def cases_of_suite(connection: Connection, suite_id: str) -> list[Case]:
    """The cases that a suite run executes, in order of creation."""
    return [rows.noun(Case, row) for row in connection.all("list_cases_of_suite", suite_id=suite_id)]


def candidates(
    connection: Connection, cls: type[Stamped], reference: str, limit: int = 6
) -> list[tuple[str, str]]:
    """The ids and names of what a reference may mean: exactly this id, else a name in any case, else the beginning
    of an id. Only the first kind with a match counts, and nothing deleted."""
    found = lookup(connection, f"{_KINDS[cls]}s", reference, limit=limit, by_name=True)
    return [(row["id"], row["name"]) for row in found]


def _columns(noun: Stamped) -> Json:
    name = noun.model_dump(include={"name"})["name"]
    columns: Json = {
        "id": noun.id,
        "name": name,
        "name_key": name_key(name),
        "body": rows.noun_body(noun),
        "created_at": rows.to_time(noun.created_at),
        "updated_at": rows.to_time(noun.updated_at),
        "deleted_at": rows.to_time(noun.deleted_at),
    }
    return columns | _references(noun)


def _references(noun: Stamped) -> Json:
    return noun.model_dump(include={"agent_id", "persona_id", "suite_id"}) if isinstance(noun, Case) else {}
