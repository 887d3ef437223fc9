"""The command. Without arguments it is the MCP server on stdio, and starts without the command line's imports."""

from __future__ import annotations

import gc
import sys

from mcp_agent_eval.telemetry import exported_spans


def main() -> None:
    """Serve on stdio, or do what the arguments say."""
    with exported_spans():
        _main()


def _main() -> None:
    if len(sys.argv) == 1:
        # What is imported stays: to look through it for garbage again and again takes a tenth of the start.
        gc.disable()
        from mcp_agent_eval.mcp_server.server import serve_stdio

        gc.freeze()
        gc.enable()
        serve_stdio()
    else:
        from mcp_agent_eval.cli.main import main as command_line

        command_line()


if __name__ == "__main__":
    main()
