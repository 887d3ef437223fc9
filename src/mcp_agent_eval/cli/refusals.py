"""How the command line says that something went wrong."""

from __future__ import annotations

import click

from mcp_agent_eval.errors import EvalError


def tell(exc: EvalError) -> None:
    """In one or two lines, on standard error."""
    click.echo(f"mcp-agent-eval: {exc.message}", err=True)
    if exc.hint:
        click.echo(exc.hint, err=True)
