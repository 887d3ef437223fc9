"""A pack: agents, personas, suites and cases written down together, referring to each other by name."""

from __future__ import annotations

from typing import cast

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json, Kind

_SECTIONS: tuple[tuple[str, Kind], ...] = (
    ("agents", "agent"),
    ("personas", "persona"),
    ("suites", "suite"),
    ("cases", "case"),
)
_REFERENCES: tuple[Kind, ...] = ("agent", "persona", "suite")


async def load_pack(backend: Backend, pack: Json) -> dict[Kind, dict[str, str]]:
    """Create everything in a pack; ids by kind and name.

    Raises:
        InvalidInput: an entry does not fit, or refers to a name that the pack does not define; says where.
    """
    ids: dict[Kind, dict[str, str]] = {kind: {} for _, kind in _SECTIONS}
    for section, kind in _SECTIONS:
        for index, entry in enumerate(cast(list[Json], pack.get(section) or [])):
            try:
                noun = await backend.create(kind, _by_id(entry, ids))
            except InvalidInput as exc:
                raise InvalidInput(f"{section}[{index}]: {exc.message}", hint=exc.hint) from None
            ids[kind][noun.name] = noun.id
    return ids


def _by_id(entry: Json, ids: dict[Kind, dict[str, str]]) -> Json:
    """The entry with names of others replaced by their ids."""
    draft = dict(entry)
    for kind in _REFERENCES:
        if name := draft.pop(kind, None):
            draft[f"{kind}_id"] = _id(ids[kind], kind, name)
    return draft


def _id(known: dict[str, str], kind: Kind, name: str) -> str:
    if name not in known:
        raise InvalidInput(
            f"{kind}: there is no {kind} named {name!r} in this pack. There are: {', '.join(known)}."
        )
    return known[name]
