"""What people and assistants call things by: an id, a name, or the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST_PREFIX = 4
"""Characters of an id that may stand for it, where no other id begins like this."""

Entry = tuple[str, str]
"""An id, and the name where the thing has one."""


def name_key(name: str) -> str:
    """A name as it is looked up and sorted by, upper and lower case alike in every script."""
    return name.strip().casefold()


def fitting(reference: str, entries: Iterable[Entry]) -> list[Entry]:
    """The entries that a reference may mean: the one with just this id; else those of this name; else those whose
    id begins like this. The engine's store finds the same by its indexes."""
    known = list(entries)
    start = reference.lower()
    exact = [entry for entry in known if entry[0] == start]
    named = exact or [entry for entry in known if entry[1] and name_key(entry[1]) == name_key(reference)]
    if named or len(reference) < SHORTEST_PREFIX:
        return named
    return sorted(entry for entry in known if entry[0].startswith(start))
