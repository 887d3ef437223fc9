"""The command line: a shell around the backend, and the place where the pieces are put together."""

from __future__ import annotations

import sys

import anyio
import click

from mcp_agent_eval import __version__
from mcp_agent_eval.cli.demo import run_demo
from mcp_agent_eval.cli.files import export, load
from mcp_agent_eval.cli.keys import keys
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.settings import Settings


@click.group()
@click.version_option(__version__, prog_name="mcp-agent-eval")
def commands() -> None:
    """Test, debug and tune conversational agents. Without a command: the MCP server on stdio."""


@commands.command()
def demo() -> None:
    """Run a sample suite with the offline model: no key, no network, nothing left behind."""
    anyio.run(run_demo)


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on; 0 takes any that is free.")
def serve(host: str, port: int) -> None:
    """Serve the agent-eval API over HTTP, on the embedded engine."""
    # FastAPI takes a tenth of a second to import, which no other command should wait for.
    from mcp_agent_eval.api.serve import serve as answer

    anyio.run(answer, Settings.read(), host, port, _announce)


def _announce(address: str, is_open: bool) -> None:
    click.echo(f"Serving the agent-eval API at {address}", err=True)
    if is_open:
        click.echo(
            "Anybody on this machine may call it: there is no key. `mcp-agent-eval keys create NAME` makes one.",
            err=True,
        )


for command in (keys, load, export):
    commands.add_command(command)


def main() -> None:
    """Run a command; what goes wrong is said in one or two lines."""
    try:
        commands()
    except EvalError as exc:
        click.echo(f"mcp-agent-eval: {exc.message}", err=True)
        if exc.hint:
            click.echo(exc.hint, err=True)
        sys.exit(1)
