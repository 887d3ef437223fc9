"""Text of a conversation on its way to a place where characters do things: a terminal, a build log, XML, Markdown."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Controls, escape sequences, what turns the direction of other text, and what XML has no place for."""

_RUNNER_COMMAND = re.compile(r"##(?=\w*\[)")
_MOST = 1000


def visible(text: str) -> str:
    """The text with an escape such as \\x1b in the place of each character that would do something but show."""
    return _UNSEEN.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str, most: int = _MOST) -> str:
    """The same on one line, and cut where it is longer than anybody reads."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else f"{line[:most]}…"


def for_a_log(line: str) -> str:
    """A line of ours, with text from elsewhere in it, for a terminal or the log of a build.

    GitHub Actions and Azure Pipelines take ##[command] and ##vso[command] for orders wherever they stand in a line.
    Those that have to begin a line cannot occur: every line begins with a word of ours.
    """
    return _RUNNER_COMMAND.sub("# #", visible(line))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
