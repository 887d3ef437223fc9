"""Makes conversation text safe to show among our own lines: it must not look like one of them, and must have no
effect except being shown."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
"""Control characters, escape sequences, direction overrides, zero-width characters, and what XML cannot contain.
The joiners and direction marks that scripts and emoji need are not among them."""


def hanging(text: str, indent: str) -> str:
    """The text with every line except the first indented."""
    return f"\n{indent}".join(text.splitlines() or [""])


def visible(text: str) -> str:
    """The text with each character that would do more than show replaced by an escape such as \\x1b."""
    return _UNSEEN.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
