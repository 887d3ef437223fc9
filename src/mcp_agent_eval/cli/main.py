"""The command line: a shell around the backend, and the place where the pieces are put together."""

from __future__ import annotations

import sys

import anyio
import click

from mcp_agent_eval import __version__
from mcp_agent_eval.cli.demo import run_demo
from mcp_agent_eval.errors import EvalError


@click.group()
@click.version_option(__version__, prog_name="mcp-agent-eval")
def commands() -> None:
    """Test, debug and tune conversational agents. Without a command: the MCP server on stdio."""


@commands.command()
def demo() -> None:
    """Run a sample suite with the offline model: no key, no network, nothing left behind."""
    anyio.run(run_demo)


def main() -> None:
    """Run a command; what goes wrong is said in one or two lines."""
    try:
        commands()
    except EvalError as exc:
        click.echo(f"mcp-agent-eval: {exc.message}", err=True)
        if exc.hint:
            click.echo(exc.hint, err=True)
        sys.exit(1)
