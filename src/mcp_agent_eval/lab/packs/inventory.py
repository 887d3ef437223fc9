"""Everything that a backend stores, by id and by name, at one moment."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.lab.packs.patience import patiently
from mcp_agent_eval.types import Kind, Page
from mcp_agent_eval.types.nouns import NOUNS, Noun

_PAGE = 100


class Inventory:
    """Existing nouns, in the order in which the backend lists them."""

    def __init__(self, nouns: Mapping[Kind, Mapping[str, Noun]]) -> None:
        self._by_id = nouns
        self._by_name: dict[Kind, dict[str, list[Noun]]] = {kind: {} for kind in nouns}
        for kind, found in nouns.items():
            for noun in found.values():
                self._by_name[kind].setdefault(noun.name, []).append(noun)

    def all(self, kind: Kind) -> list[Noun]:
        """Every noun of a kind."""
        return list(self._by_id[kind].values())

    def named(self, kind: Kind, name: str) -> list[Noun]:
        """The nouns with exactly this name. There may be more than one."""
        return self._by_name[kind].get(name, [])

    def names(self, kind: Kind) -> list[str]:
        """The names that nouns of a kind have."""
        return list(self._by_name[kind])

    def name_of(self, kind: Kind, id: str) -> str | None:
        """The name for an id; None if it does not exist or was deleted."""
        noun = self._by_id[kind].get(id)
        return noun.name if noun else None


async def inventory(backend: Backend) -> Inventory:
    """Everything that currently exists."""
    return Inventory({kind: await _all(backend, kind) for kind in NOUNS})


async def _all(backend: Backend, kind: Kind) -> dict[str, Noun]:
    """The nouns of a kind by id, so that one listed twice because the list changed counts once."""
    found: dict[str, Noun] = {}
    page = await _page(backend, kind, 0)
    while page.data:
        found |= {noun.id: noun for noun in page.data}
        if not page.has_more:
            break
        page = await _page(backend, kind, page.offset + len(page.data))
    return found


async def _page(backend: Backend, kind: Kind, offset: int) -> Page[Noun]:
    return await patiently(lambda: backend.list(kind, limit=_PAGE, offset=offset))
