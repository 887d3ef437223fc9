"""Finds what a reference may mean: an id, the beginning of one, or a name."""

from __future__ import annotations

from mcp_agent_eval.engine.store.database import Connection, Row
from mcp_agent_eval.types.references import SHORTEST_PREFIX, name_key

_PAST_ANY_ID = "\U0010ffff"


def lookup(
    connection: Connection, table: str, reference: str, *, limit: int, by_name: bool = False
) -> list[Row]:
    """The row with exactly this id; else those with this name, if they have names; else those whose id begins with
    it, given at least four characters. At most `limit`."""
    exact = connection.all(f"find_{table}_by_id", reference=reference.lower())
    named = exact or (_by_name(connection, table, reference, limit) if by_name else [])
    return named or _by_prefix(connection, table, reference, limit)


def _by_name(connection: Connection, table: str, reference: str, limit: int) -> list[Row]:
    return connection.all(f"find_{table}_by_name", name_key=name_key(reference), limit=limit)


def _by_prefix(connection: Connection, table: str, reference: str, limit: int) -> list[Row]:
    if len(reference) < SHORTEST_PREFIX:
        return []
    start = reference.lower()
    end = start + _PAST_ANY_ID
    return connection.all(f"find_{table}_by_prefix", reference=start, reference_end=end, limit=limit)
