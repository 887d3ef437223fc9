"""Reads JSON like the standard library, but with the line of every value, and writes it for people.

A YAML reader will not do for JSON: for example, tabs and long field names are errors there.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator

from mcp_agent_eval.lab.packs.located import (
    MOST_LEVELS,
    TOO_LARGE,
    Fault,
    Located,
    Path,
    Unreadable,
    mapping,
    reject_monsters,
    sequence,
)

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> tuple[Located, list[Fault]]:
    """The value, and its problems that did not prevent reading it.

    Raises:
        Unreadable: the text is not JSON.
    """
    reader = _Reader(text)
    whole = reader.read()
    reject_monsters(whole)
    return whole, reader.faults


def write_json(value: object) -> str:
    """A value as JSON, ending in a line break. A lone surrogate, which a file cannot contain, becomes an escape."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


class _Reader:
    """Walks objects and arrays; the standard library reads all other values."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(parse_constant=self._refuse)
        self._breaks = [found.end() for found in re.finditer("\n", text)]

    def read(self) -> Located:
        whole = self._value(())
        if self._next():
            raise self._wrong("something follows after the end of the value.")
        return whole

    def _value(self, path: Path) -> Located:
        match self._next():
            case "{":
                return self._object(path)
            case "[":
                return self._array(path)
            case _:
                return self._scalar()

    def _object(self, path: Path) -> Located:
        line, parts = self._line(), dict[str, Located]()
        for _ in self._items("}", path):
            key_line = self._line()
            name = self._name()
            if name in parts:
                first = parts[name].line
                self.faults.append(Fault(key_line, (*path, name), f"is given twice, first on line {first}."))
            part = self._value((*path, name))
            parts[name] = Located(part.value, key_line, part.parts, part.size, part.levels)
        return mapping(parts, line)

    def _array(self, path: Path) -> Located:
        line, parts = self._line(), list[Located]()
        for _ in self._items("]", path):
            parts.append(self._value((*path, len(parts))))
        return sequence(parts, line)

    def _items(self, end: str, path: Path) -> Iterator[None]:
        """Move to the beginning of each item of an object or array, and finally past its end."""
        if len(path) >= MOST_LEVELS:
            raise self._wrong(f"is nested more than {MOST_LEVELS} levels deep.")
        self._at += 1
        if self._next() != end:
            yield
            while self._next() == ",":
                self._at += 1
                self._next()
                yield
            if self._next() != end:
                raise self._wrong(f"',' or '{end}' is expected here.")
        self._at += 1

    def _name(self) -> str:
        if self._next() != '"':
            raise self._wrong("the name of a field is expected here, in double quotes.")
        name = str(self._scalar().value)
        if self._next() != ":":
            raise self._wrong("':' is expected here.")
        self._at += 1
        return name

    def _scalar(self) -> Located:
        line = self._line()
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as exc:
            self._at = exc.pos
            raise self._wrong(f"{exc.msg[:1].lower()}{exc.msg[1:]}.") from None
        except ValueError:
            raise Unreadable(line, TOO_LARGE) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise Unreadable(line, TOO_LARGE)
        return Located(value, line)

    def _refuse(self, name: str) -> object:
        raise self._wrong(f"there is no number {name}.")

    def _next(self) -> str:
        """The next character that is not whitespace, or nothing at the end."""
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at) + 1

    def _wrong(self, text: str) -> Unreadable:
        return Unreadable(self._line(), f"is not JSON: {text}")
