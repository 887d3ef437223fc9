"""The command. Without arguments it is the MCP server on stdio, and starts without the command line's imports."""

from __future__ import annotations

import gc
import sys

from mcp_agent_eval.telemetry import exported_spans

_INTERRUPTED = 130
_WAITING = """\
MCP server on stdio: waiting for a host. Ctrl-C ends it; `mcp-agent-eval --help` lists the commands.
"""


def main() -> None:
    """Serve on stdio, or do what the arguments say."""
    try:
        with exported_spans():
            _main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _main() -> None:
    if len(sys.argv) == 1:
        if sys.stdin and sys.stdin.isatty():
            sys.stderr.write(_WAITING)
        # Imported modules stay: scanning them for garbage again and again takes a tenth of the start-up time.
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
