"""Resolves references: an id, a name or the beginning of an id."""

from __future__ import annotations

from typing import Literal

from mcp_agent_eval.engine.store import nouns, runs, suite_runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.errors import AmbiguousReference, NotFound
from mcp_agent_eval.types.nouns import NOUNS
from mcp_agent_eval.types.references import SHORTEST_PREFIX
from mcp_agent_eval.validation import clipped, quoted

Reference = Literal["agent", "persona", "tool", "case", "suite", "run", "suite_run"]

_SHOWN = 5


class References:
    """Finds the one thing that a reference means."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, kind: Reference, reference: str) -> str:
        """The id behind a reference.

        Raises:
            NotFound: nothing matches.
            AmbiguousReference: several things match; the message names them.
        """
        reference = reference.strip()
        found = await self._database.read(lambda connection: _candidates(connection, kind, reference))
        if not found:
            raise nothing(kind, reference)
        if len(found) > 1:
            raise several(kind, reference, found)
        return found[0][0]


def _candidates(connection: Connection, kind: Reference, reference: str) -> list[tuple[str, str]]:
    if kind == "run":
        return [(id, "") for id in runs.candidates(connection, reference, _SHOWN + 1)]
    if kind == "suite_run":
        return [(id, "") for id in suite_runs.candidates(connection, reference, _SHOWN + 1)]
    return nouns.candidates(connection, NOUNS[kind], reference, _SHOWN + 1)


def nothing(kind: Reference, reference: str) -> NotFound:
    """The error for a reference that matches nothing."""
    of_runs = kind in ("run", "suite_run")
    there_is = (
        "Call list_runs to see the newest." if of_runs else f'Call list(kind="{kind}") to see what there is.'
    )
    short = f"The beginning of an id needs at least {SHORTEST_PREFIX} characters. "
    return NotFound(
        f"There is no {kind.replace('_', ' ')} {quoted(reference)}.",
        hint=(short if len(reference) < SHORTEST_PREFIX else "") + there_is,
    )


def several(kind: Reference, reference: str, found: list[tuple[str, str]]) -> AmbiguousReference:
    """The error for a reference that matches these ids, each with its name if it has one."""
    named = ", ".join(f"{id} ({clipped(name)})" if name else id for id, name in found[:_SHOWN])
    more = " and more" if len(found) > _SHOWN else ""
    return AmbiguousReference(
        f"{quoted(reference)} matches more than one {kind.replace('_', ' ')}: {named}{more}.",
        hint="Use the id of the one you mean.",
    )
