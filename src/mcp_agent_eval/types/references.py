"""References: an id, a name, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST_PREFIX = 4
"""The fewest characters of an id that may stand for it, if no other id begins with them."""

Entry = tuple[str, str]
"""An id, and the name if there is one."""


def name_key(name: str) -> str:
    """A name folded for lookup and sorting, so that case does not matter in any script."""
    return name.strip().casefold()


def fitting(reference: str, entries: Iterable[Entry]) -> list[Entry]:
    """The entries that a reference may mean: the one with exactly this id; else those with this name; else those
    whose id begins with it. The engine's store finds the same ones by its indexes."""
    known = list(entries)
    start = reference.lower()
    exact = [entry for entry in known if entry[0] == start]
    named = exact or [entry for entry in known if entry[1] and name_key(entry[1]) == name_key(reference)]
    if named or len(reference) < SHORTEST_PREFIX:
        return named
    return sorted(entry for entry in known if entry[0].startswith(start))
