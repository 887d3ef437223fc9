"""Text of a conversation on its way to a place where characters do things: a terminal, a build log, XML, Markdown."""

from __future__ import annotations

import re

from mcp_agent_eval.types.lines import visible

_RUNNER_COMMAND = re.compile(r"##(?=\w*\[)")
_MOST = 1000


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
