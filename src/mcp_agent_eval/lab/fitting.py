"""Cuts a value to fit into a number of characters, whether it is shown as JSON or as an outline.

The only place where results are cut. Texts lose their end, lists and objects their last entries; short values stay
whole, and long ones share the remaining room. Every cut is marked in place with how much is missing, and `rest`
lists the calls that show it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from mcp_agent_eval.lab.parts import Place, Unit, as_text, counted, is_text
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.lines import visible

MOST = 20_000
"""Most characters in any result."""
CONCISE = 2_100
"""Most characters in results that are read all the time: about 600 tokens."""

AROUND = 600
"""Characters of a result reserved for everything around its rows."""

_MARK = 40
_SHORTEST_ENTRY = 160
_FEWEST_ENTRIES = 8
_MOST_CALLS = 4
_SHARE_OF_CALLS = 12
_WITHOUT_END = 1 << 62

Call = Callable[[Place], str]
"""Maps a part, and where to continue in it, to the call that shows it from there."""


class _Cut(NamedTuple):
    place: Place
    left: int
    unit: Unit


def fitted(value: Json, most: int, call: Call, places: Mapping[str, Place] | None = None) -> Json:
    """The value itself if it fits, else as much of it as does, with `rest`.

    `places` says which part a key's value is, if not the one of the same name.
    """
    if size(value, enough=most) <= most:
        return value
    reserved = most // _SHARE_OF_CALLS
    while True:
        # The calls themselves need room, and how much is known only after the cut.
        knife = _Knife()
        shown = knife.top(value, most - reserved, places or {})
        shown |= {"rest": _calls(knife.cuts, call)}
        over = size(shown) - most
        if over <= 0 or reserved > most:
            return shown
        reserved += over


def clip(text: str, most: int) -> str:
    """A text of at most that many characters, plus a mark that says how many more there are."""
    return text if len(text) <= most else _marked(text, most)


def how_many(items: Sequence[object], most: int) -> int:
    """How many items, from the first on, fit whole as entries of a list in a field. At least one."""
    left = most
    for number, item in enumerate(items):
        left -= _bullet(1) + size(item, 2, left)
        if left < 0:
            return max(1, number)
    return len(items)


def size(node: object, depth: int = 0, enough: int = _WITHOUT_END) -> int:
    """Most characters that a value needs, as JSON and as an outline. Above `enough` the count may be too low."""
    if isinstance(node, str):
        return _text_size(node, depth) if len(node) <= enough else len(node)
    if isinstance(node, dict | list):
        return _container_size(cast(Json | list[object], node), depth, enough)
    return len(_encode(node))


def _container_size(node: Json | list[object], depth: int, enough: int) -> int:
    total = 2
    for edge, item in _entries(node, depth):
        total += edge + size(item, depth + 1, enough - total)
        if total > enough:
            break
    return total


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _text_size(text: str, depth: int) -> int:
    return max(len(_encode(text)), len(visible(text)) + 2 * depth * len(text.splitlines()))


def _entries(node: Json | list[object], depth: int) -> Iterator[tuple[int, object]]:
    """The entries of a container, each preceded by the size of its key."""
    if isinstance(node, dict):
        yield from ((_label(key, depth), item) for key, item in node.items())
    else:
        yield from ((_bullet(depth), item) for item in node)


def _label(key: str, depth: int) -> int:
    return _text_size(key, depth + 1) + 2 * depth + 4


def _bullet(depth: int) -> int:
    return 2 * depth + 4


class _Knife:
    """Cuts one value and remembers the cuts."""

    def __init__(self) -> None:
        self.cuts: list[_Cut] = []

    def top(self, value: Json, room: int, places: Mapping[str, Place]) -> Json:
        """The value as a whole."""
        whole = Place(())
        found = [places.get(key) or whole.child(key, number) for number, key in enumerate(value)]
        return self._object(value, found, room, whole, 0)

    def cut(self, node: object, room: int, place: Place, depth: int) -> object:
        """As much of a part as there is room for; called when it does not fit whole."""
        if is_text(node, place.path):
            return self._text(as_text(node), room, place, depth)
        if isinstance(node, list):
            return self._list(cast(list[object], node), room, place, depth)
        fields = cast(Json, node)
        places = [place.child(key, number) for number, key in enumerate(fields)]
        return self._object(fields, places, room, place, depth)

    def _text(self, text: str, room: int, place: Place, depth: int) -> str:
        lengths = range(min(len(text), max(0, room)) + 1)
        kept = bisect_right(lengths, room - _MARK, key=lambda length: size(text[:length], depth)) - 1
        self._note(place, max(0, kept), len(text), "characters")
        return _marked(text, max(0, kept))

    def _list(self, items: list[object], room: int, place: Place, depth: int) -> list[object]:
        shortest = max(_SHORTEST_ENTRY, room // _FEWEST_ENTRIES)
        needs = _needs(items, depth, room, lambda _: shortest)
        shown = [
            item if need.is_met else self.cut(item, need.left, place.child("", number), depth + 1)
            for number, (item, need) in enumerate(zip(items, needs, strict=False))
        ]
        left = self._note(place, len(shown), len(items), "entries")
        return [*shown, f"… [{left:,} more]"] if left else shown

    def _object(self, fields: Json, places: Sequence[Place], room: int, place: Place, depth: int) -> Json:
        needs = _needs(fields, depth, room, lambda edge: edge + _MARK)
        shown = {
            key: item if need.is_met else self.cut(item, need.left, where, depth + 1)
            for (key, item), need, where in zip(fields.items(), needs, places, strict=False)
        }
        left = self._note(place, len(shown), len(fields), "entries")
        return shown | {"…": f"[{left:,} more]"} if left else shown

    def _note(self, place: Place, kept: int, total: int, unit: Unit) -> int:
        """Remember a cut, if it is one; return how much is missing."""
        if kept < total:
            self.cuts.append(_Cut(Place(place.path, place.start + kept), total - kept, unit))
        return total - kept


@dataclass(slots=True)
class _Need:
    """The room that an entry needs to be shown whole, including its key, and the room that it was given."""

    edge: int
    size: int
    given: int = 0

    @property
    def is_met(self) -> bool:
        return self.given >= self.size

    @property
    def left(self) -> int:
        """Room for the entry itself."""
        return self.given - self.edge


def _needs(node: Json | list[object], depth: int, room: int, least: Callable[[int], int]) -> list[_Need]:
    """The needs of as many entries, from the first on, as can get what they need or the minimum. Small ones get all
    that they need, and the others share the rest."""
    found, needed = list[_Need](), [0]
    for edge, item in _entries(node, depth):
        need = _Need(edge, edge + size(item, depth + 1, room))
        found.append(need)
        needed.append(needed[-1] + min(need.size, least(edge)))
        if needed[-1] > room:
            room -= _MARK
            break
    kept = found[: bisect_right(needed, room) - 1]
    for rank, need in enumerate(sorted(kept, key=lambda need: need.size)):
        need.given = min(need.size, room // (len(kept) - rank))
        room -= need.given
    return kept


def _calls(cuts: Sequence[_Cut], call: Call) -> list[str]:
    """The calls that show what was cut, outermost first. Cuts shown by the same call share one line."""
    by_call: dict[str, list[_Cut]] = {}
    for cut in sorted(cuts, key=lambda cut: len(cut.place.path)):
        by_call.setdefault(call(cut.place), []).append(cut)
    lines = [f"{told} shows {_missing(found)}" for told, found in by_call.items()]
    more = len(lines) - _MOST_CALLS
    return lines[:_MOST_CALLS] + (
        [f"{more:,} more are marked, and can be read in the same way"] if more > 0 else []
    )


def _missing(cuts: Sequence[_Cut]) -> str:
    return counted(cuts[0].left, cuts[0].unit, "more ") if len(cuts) == 1 else "everything that was cut"


def _marked(text: str, kept: int) -> str:
    return f"{text[:kept]}… [{counted(len(text) - kept, 'characters', 'more ')}]"
