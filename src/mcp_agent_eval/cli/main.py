"""The command line: a shell around the backend, and the place where the pieces are assembled."""

from __future__ import annotations

import re
import sys

import anyio
import click

from mcp_agent_eval import __version__
from mcp_agent_eval.cli.ci.command import run_suite
from mcp_agent_eval.cli.demo import run_demo
from mcp_agent_eval.cli.doctor.command import doctor
from mcp_agent_eval.cli.files import export, load
from mcp_agent_eval.cli.hosts import hosts
from mcp_agent_eval.cli.keys import keys
from mcp_agent_eval.cli.refusals import tell
from mcp_agent_eval.cli.streams import UNTOLD, is_of_a_stream, is_plain, say, settle, unwritable
from mcp_agent_eval.cli.upkeep import backup, prune
from mcp_agent_eval.cli.worker import worker
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.settings import Settings


@click.group()
@click.version_option(__version__, prog_name="mcp-agent-eval")
@click.pass_context
def commands(context: click.Context) -> None:
    """Test, debug and tune conversational agents. Without a command: the MCP server on stdio."""
    if is_plain():
        context.color = False


@commands.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Run a sample suite with the offline model: no key, no network, nothing left behind."""
    context.exit(anyio.run(run_demo))


def _prefix(_: click.Context, __: click.Parameter, path: str) -> str:
    """A path without a trailing slash; none at all is an empty one."""
    trimmed = path.strip("/")
    if not re.fullmatch(r"[\w.~/-]*", trimmed, re.ASCII) or "//" in trimmed:
        raise click.BadParameter("must be a path such as /eval, of letters, digits and . _ ~ -")
    return f"/{trimmed}" if trimmed else ""


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    default=8765,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    callback=_prefix,
    help="A prefix that a proxy leaves in paths, such as /eval.",
)
def serve(host: str, port: int, root_path: str) -> None:
    """Serve the agent-eval API and, at /mcp, the MCP server over HTTP, on the embedded engine."""
    # FastAPI and the SDK take half a second to import, which other commands should not wait for.
    from mcp_agent_eval.api.serve import serve as answer
    from mcp_agent_eval.mcp_server.http import open_http

    anyio.run(answer, Settings.read(), host, port, _announce, open_http, root_path)


def _announce(address: str, is_open: bool) -> None:
    click.echo(f"Serving the agent-eval API at {address} and MCP at {address}/mcp", err=True)
    if is_open:
        click.echo(
            "No key is set: anyone on this machine can call it. Create one with `mcp-agent-eval keys create NAME`, "
            "then restart.",
            err=True,
        )


for command in (keys, load, export, run_suite, doctor, hosts, worker, prune, backup):
    commands.add_command(command)


def main() -> None:
    """Run a command, and report an error in one or two lines."""
    try:
        commands()
    except EvalError as exc:
        tell(exc)
        sys.exit(1)
    except OSError as exc:
        if not is_of_a_stream(exc):
            raise
        say(unwritable(exc).format_message())
        sys.exit(UNTOLD)
    finally:
        settle()
