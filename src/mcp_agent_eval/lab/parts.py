"""Names the parts of a value, so that what was cut off can be requested, and finds them again.

A part consists of the names and numbers that lead to it and, after an @, where to continue in it: characters of a
text, entries of a list or an object, as in `success_criteria/3/rubric@2000`. A name that may come from a
conversation is given as its number, so that guidance never quotes a transcript.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json

Path = tuple[str, ...]
"""The names and numbers that lead to a part."""
Unit = Literal["characters", "entries", "characters of JSON"]

LONGEST_NAME = 100
"""Most characters of a field's name; an object with a longer one is read as its JSON text."""
_DEEPEST = 8
_GOES_ON = re.compile(r"@[0-9]{1,9}$")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z_]\w{0,39}", re.ASCII)
_OURS = frozenset(
    ("text", "tools", "args", "result", "error", "request", "response", "messages", "content", "flow")
)
"""Names from our own formats and the wires, which never come from a conversation."""


@dataclass(frozen=True, slots=True)
class Place:
    """The part that a value is, and the character or entry at which it begins."""

    path: Path
    start: int = 0

    def child(self, name: str, number: int) -> Place:
        """An entry of this part; `number` counts from where it begins."""
        own = not _is_untrusted(self.path) or name in _OURS
        step = name if own and _NAME.fullmatch(name) else str(self.start + number)
        return Place((*self.path, step))

    def __str__(self) -> str:
        return f"{'/'.join(self.path)}@{self.start}"


def piece(value: Json, part: str, *, within: Path = ()) -> tuple[Json, Mapping[str, Place]]:
    """One part of a value as a separate value, and the place of its content. `within` is the part that the value
    itself is.

    Raises:
        InvalidInput: there is no such part.
    """
    names, _, start = part.rpartition("@") if _GOES_ON.search(part) else (part, "", "0")
    place, node = Place(within), cast(object, value)
    for step in names.split("/") if names else ():
        name, number, node = _entry(node, step) or _no_part(part, value)
        place = place.child(name, number)
    place = Place(place.path, int(start))
    rest, total, unit = _from(node, place)
    if place.start > total:
        _no_part(part, value)
    shown = "untrusted_value" if _is_untrusted(place.path) else "value"
    return {"part": part, "of": counted(total, unit), shown: rest}, {shown: place}


def is_text(node: object, path: Path) -> bool:
    """Whether something is read as a text. Containers are if they are too deep or contain a name that is too long."""
    if not isinstance(node, dict | list) or len(path) >= _DEEPEST:
        return True
    return isinstance(node, dict) and any(len(name) > LONGEST_NAME for name in cast(Json, node))


def counted(number: int, unit: Unit, more: str = "") -> str:
    """How many characters or entries, in words."""
    one = {"characters": "character", "entries": "entry", "characters of JSON": "character of JSON"}
    return f"{number:,} {more}{one[unit] if number == 1 else unit}"


def as_text(node: object) -> str:
    """A text unchanged, anything else as JSON."""
    return node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)


def _is_untrusted(path: Path) -> bool:
    return any(step.startswith("untrusted_") for step in path)


def _entry(node: object, step: str) -> tuple[str, int, object] | None:
    """An entry of an object or a list, found by name or number: its name, its number and its value."""
    for number, (name, item) in enumerate(_entries(node)):
        if step == (str(number) if _NUMBER.fullmatch(step) else name):
            return name, number, item
    return None


def _entries(node: object) -> Iterable[tuple[str, object]]:
    if isinstance(node, dict):
        return cast(Json, node).items()
    return (("", item) for item in (cast(list[object], node) if isinstance(node, list) else ()))


def _from(node: object, place: Place) -> tuple[object, int, Unit]:
    """The rest of a part from its start on, the size of the whole, and the unit."""
    if is_text(node, place.path):
        text = as_text(node)
        unit: Unit = "characters" if text is node else "characters of JSON"
        return (text[place.start :] if place.start else node), len(text), unit
    if isinstance(node, list):
        items = cast(list[object], node)
        return items[place.start :], len(items), "entries"
    fields = cast(Json, node)
    return dict(list(fields.items())[place.start :]), len(fields), "entries"


def _no_part(part: str, value: Json) -> NoReturn:
    raise InvalidInput(
        f"There is no part {part[:LONGEST_NAME]!r} here.",
        hint=f"Take a part from `rest`. It begins with one of: {', '.join(value)}.",
    )
