"""Text of a conversation in the middle of our own lines: it must not be able to look like one of them."""

from __future__ import annotations


def hanging(text: str, indent: str) -> str:
    """The text with every line after its first one indented."""
    return f"\n{indent}".join(text.splitlines() or [""])
