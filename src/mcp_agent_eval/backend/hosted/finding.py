"""Resolves names and id prefixes over an API that only knows whole ids, by searching its lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import UUID

from mcp_agent_eval.backend.base import Reference
from mcp_agent_eval.engine.records.references import nothing, several
from mcp_agent_eval.types.references import Entry, fitting

NextPage = Callable[[int], Awaitable[tuple[Sequence[Entry], bool]]]
"""Maps an offset to a page of entries, and whether there are more."""

PAGE = 100
_MOST_PAGES = 20


def is_id(reference: str) -> bool:
    """Whether this is a whole id, not a name or prefix."""
    try:
        return str(UUID(reference)) == reference.lower()
    except ValueError:
        return False


async def everything(page: NextPage) -> list[Entry]:
    """The entries of all pages; of a very long list, the newest."""
    found: list[Entry] = []
    for number in range(_MOST_PAGES):
        entries, more = await page(number * PAGE)
        found += entries
        if not more:
            break
    return found


def pick(kind: Reference, reference: str, entries: Iterable[Entry]) -> str:
    """The id of the one thing that a reference means.

    Raises:
        NotFound: nothing matches.
        AmbiguousReference: several things match; the message names them.
    """
    found = fitting(reference, entries)
    if not found:
        raise nothing(kind, reference)
    if len(found) > 1:
        raise several(kind, reference, found)
    return found[0][0]
