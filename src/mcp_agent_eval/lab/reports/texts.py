"""Makes conversation text safe for places where characters have effects: terminals, build logs, XML, Markdown."""

from __future__ import annotations

import re

from mcp_agent_eval.types.lines import visible

_RUNNER_COMMAND = re.compile(r"##(?=\w*\[)")
_MOST = 1000


def one_line(text: str, most: int = _MOST) -> str:
    """The same on one line, cut to a readable length."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else f"{line[:most]}…"


def for_a_log(line: str) -> str:
    """One of our lines, with foreign text in it, for a terminal or a build log.

    GitHub Actions and Azure Pipelines execute ##[command] and ##vso[command] anywhere in a line. Commands that must
    begin a line cannot occur: every line begins with our own words.
    """
    return _RUNNER_COMMAND.sub("# #", visible(line))
