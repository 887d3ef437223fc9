"""Text of a conversation in the middle of our own lines: it must not be able to look like one of them, nor to do
anything but show."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
"""Controls, escape sequences, what turns the direction of other text, what has no width, and what XML has no place for.
The joiners and the marks of direction that scripts and emoji are written with are not among them."""


def hanging(text: str, indent: str) -> str:
    """The text with every line after its first one indented."""
    return f"\n{indent}".join(text.splitlines() or [""])


def visible(text: str) -> str:
    """The text with an escape such as \\x1b in the place of each character that would do something but show."""
    return _UNSEEN.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
