"""Values from a file that know their place, so that problems can be located.

Nothing here knows what the values mean or in which notation they were written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

Step = str | int
Path = tuple[Step, ...]
"""A path into a value: field names and list positions."""

MOST_VALUES = 1_000_000
MOST_LEVELS = 100
TOO_LARGE = "a number is too large."


class Fault(NamedTuple):
    """A problem in a text: its line, counted from 1, its path, and what is wrong."""

    line: int
    path: Path
    text: str


class Unreadable(Exception):
    """A text that cannot be read at all, because of this fault."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, (), text)


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON value with the line on which it, or its field's name, begins; 0 without lines.

    `size` and `levels` count aliased content each time.
    """

    value: object
    line: int
    parts: Mapping[Step, Located] = field(default_factory=dict[Step, "Located"])
    size: int = 1
    levels: int = 1

    def at(self, path: Path) -> Located | None:
        """The value at a path, if there is one."""
        found: Located | None = self
        for step in path:
            found = found.parts.get(step) if found else None
        return found

    def line_of(self, path: Path) -> int:
        """The line of the value at a path, or of the nearest enclosing one that exists."""
        found = self
        for step in path:
            if step not in found.parts:
                break
            found = found.parts[step]
        return found.line


def mapping(parts: Mapping[str, Located], line: int) -> Located:
    """A mapping of these values."""
    return _whole(
        {name: part.value for name, part in parts.items()}, cast(Mapping[Step, Located], parts), line
    )


def sequence(parts: Sequence[Located], line: int) -> Located:
    """A list of these values."""
    return _whole([part.value for part in parts], dict(enumerate(parts)), line)


def _whole(value: object, parts: Mapping[Step, Located], line: int) -> Located:
    size = 1 + sum(part.size for part in parts.values())
    levels = 1 + max((part.levels for part in parts.values()), default=0)
    return Located(value, line, parts, size, levels)


def reject_monsters(whole: Located) -> None:
    """Refuse a small text that expands into a huge value, like aliases of aliases. Raises Unreadable."""
    if whole.size > MOST_VALUES:
        raise Unreadable(whole.line, f"holds more than {MOST_VALUES:,} values, aliases counted each time.")
    if whole.levels > MOST_LEVELS:
        raise Unreadable(whole.line, f"is nested more than {MOST_LEVELS} levels deep.")


def plain(value: object) -> Located:
    """A value that is not in a file."""
    if isinstance(value, dict):
        return mapping({name: plain(part) for name, part in cast(dict[str, object], value).items()}, 0)
    if isinstance(value, list):
        return sequence([plain(part) for part in cast(list[object], value)], 0)
    return Located(value, 0)


def spelled(path: Path) -> str:
    """A path as people write it: `cases[2].success_criteria[0].pattern`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f"[{step!r}]"


_POINTED = re.compile(r"(\w+(?:\.\w+|\[\d+\])*): (?=\S)")
_STEP = re.compile(r"\w+")


def pointed(text: str) -> tuple[Path, str]:
    """A message that begins with a path, taken apart; without one, the path is empty."""
    found = _POINTED.match(text)
    if not found:
        return (), text
    steps = _STEP.findall(found[1])
    return tuple(int(step) if step.isdigit() else step for step in steps), text[found.end() :]
