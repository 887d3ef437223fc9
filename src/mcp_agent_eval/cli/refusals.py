"""How the command line reports errors."""

from __future__ import annotations

import re

from mcp_agent_eval.cli.streams import say
from mcp_agent_eval.errors import EvalError

_OF_A_HOST = re.compile("the `env` of this (MCP )?server in your host's configuration")
"""Where hints, which are written for assistants, say that variables are set."""


def tell(exc: EvalError) -> None:
    """Report an error in one or two lines on standard error."""
    say(f"mcp-agent-eval: {exc.message}")
    if exc.hint:
        say(_OF_A_HOST.sub("the environment of this command", exc.hint))
