"""Converts any string to text that every database accepts, and back without loss.

SQLite refuses lone surrogates and truncates some things at a NUL; PostgreSQL refuses both. Models and users produce
both. Each such character is stored as U+0001 and four hex digits, and so is U+0001 itself.

JSON is converted in the same way. Its own escapes are not enough: two lone surrogates in a row come back
from `\\ud83d\\ude00` as one character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MARK = "\x01"
_TROUBLE = re.compile("[\x00\x01\ud800-\udfff]")
_ESCAPED = re.compile("\x01([0-9a-f]{4})")


def escape(text: str) -> str:
    """The text for a database; nearly always the same object."""
    if text.isascii() and "\x00" not in text and _MARK not in text:
        return text
    return text if _is_plain(text) else _TROUBLE.sub(_escape_one, text)


def unescape(text: str) -> str:
    """Undo `escape`."""
    return _ESCAPED.sub(_unescape_one, text) if _MARK in text else text


def unescape_all(values: Iterable[object]) -> list[object]:
    """The original values: texts unescaped, everything else unchanged."""
    return [unescape(value) if type(value) is str and _MARK in value else value for value in values]


def _is_plain(text: str) -> bool:
    if "\x00" in text or _MARK in text:
        return False
    # Encoding finds a surrogate many times faster than a search would.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escape_one(match: re.Match[str]) -> str:
    return f"{_MARK}{ord(match[0]):04x}"


def _unescape_one(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
