"""What each host needs in order to start this server: its configuration, its own command, its link."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Literal, NamedTuple
from urllib.parse import quote, urlencode

import click

from mcp_agent_eval.types import Json

NAME = "agent-eval"
COMMAND = "mcp-agent-eval"
_KEY = "OPENAI_API_KEY"
_PLACEHOLDER = "sk-..."
_SETTING = f"{_KEY}={_PLACEHOLDER}"
# VS Code asks for it at the server's first start and stores it, so that no key is in a project's file.
_ASKED = {"type": "promptString", "id": "openai-api-key", "description": "OpenAI API key", "password": True}
# The first start by uvx downloads everything, which may take longer than the ten seconds that Codex allows.
_CODEX_SECONDS = 60


class Launch(NamedTuple):
    """How a host starts the server."""

    command: str
    arguments: tuple[str, ...] = ()

    def words(self) -> tuple[str, ...]:
        """The whole command line."""
        return (self.command, *self.arguments)


class Way(NamedTuple):
    """One way to configure a host: what to do with `text`, and what kind of text it is."""

    what: str
    kind: Literal["sh", "json", "toml", "link"]
    text: str


class Host(NamedTuple):
    """A host's name, and the ways to configure it."""

    name: str
    ways: Callable[[Launch], Iterator[Way]]


def this_installation() -> Launch:
    """This installation, by full path: hosts start servers without a shell's PATH."""
    beside = shutil.which(COMMAND, path=str(Path(sys.executable).parent))
    return Launch(beside or shutil.which(COMMAND) or COMMAND)


def by_uvx() -> Launch:
    """uvx, which downloads the package from the index and starts it; by full path if it is installed."""
    return Launch(shutil.which("uvx") or "uvx", (COMMAND,))


def _claude_code(launch: Launch) -> Iterator[Way]:
    yield _run("claude", "mcp", "add", NAME, "--scope", "user", "-e", _SETTING, "--", *launch.words())
    yield Way("Or in the .mcp.json of a project", "json", _servers(launch, key=f"${{{_KEY}:-}}"))


def _claude_desktop(launch: Launch) -> Iterator[Way]:
    yield Way("In claude_desktop_config.json (Settings, Developer, Edit Config)", "json", _servers(launch))


def _cursor(launch: Launch) -> Iterator[Way]:
    yield Way("In ~/.cursor/mcp.json", "json", _servers(launch))
    encoded = b64encode(_line(_server(launch)).encode()).decode()
    query = urlencode({"name": NAME, "config": encoded})
    yield Way("Or open", "link", f"cursor://anysphere.cursor-deeplink/mcp/install?{query}")


def _vs_code(launch: Launch) -> Iterator[Way]:
    server = {"type": "stdio"} | _server(launch, key=f"${{input:{_ASKED['id']}}}")
    one = _line({"name": NAME} | server | {"inputs": [_ASKED]})
    yield _run("code", "--add-mcp", one)
    yield Way("Or in .vscode/mcp.json", "json", _json({"inputs": [_ASKED], "servers": {NAME: server}}))
    yield Way("Or open", "link", f"vscode:mcp/install?{quote(one, safe='')}")


def _codex(launch: Launch) -> Iterator[Way]:
    yield _run("codex", "mcp", "add", NAME, "--env", _SETTING, "--", *launch.words())
    yield Way("Or in ~/.codex/config.toml", "toml", _toml(launch))


def _gemini_cli(launch: Launch) -> Iterator[Way]:
    yield _run("gemini", "mcp", "add", "--scope", "user", "-e", _SETTING, NAME, *launch.words())
    yield Way("Or in ~/.gemini/settings.json", "json", _servers(launch))


def _zed(launch: Launch) -> Iterator[Way]:
    text = _json({"context_servers": {NAME: _server(launch)}})
    yield Way("In settings.json (command palette: zed: open settings file)", "json", text)


HOSTS = {
    "claude-code": Host("Claude Code", _claude_code),
    "claude-desktop": Host("Claude Desktop", _claude_desktop),
    "cursor": Host("Cursor", _cursor),
    "vs-code": Host("VS Code", _vs_code),
    "codex": Host("Codex", _codex),
    "gemini-cli": Host("Gemini CLI", _gemini_cli),
    "zed": Host("Zed", _zed),
}


@click.command()
@click.argument("host", required=False, metavar="[HOST]", type=click.Choice(tuple(HOSTS)))
@click.option("--uvx", is_flag=True, help="Start it with uvx instead of this installation.")
def hosts(host: str | None, uvx: bool) -> None:
    """Show how to configure a host so that it starts this server.

    HOST is claude-code, claude-desktop, cursor, vs-code, codex, gemini-cli or zed; without it, all are shown.
    """
    launch = by_uvx() if uvx else this_installation()
    for name in [host] if host else HOSTS:
        _show(HOSTS[name], launch)


def _show(host: Host, launch: Launch) -> None:
    click.echo(f"\n  {click.style(host.name, bold=True)}")
    for way in host.ways(launch):
        click.echo(f"\n  {way.what}:\n")
        click.echo(indent(way.text, "    "))


def _run(*words: str) -> Way:
    return Way("Run", "sh", shlex.join(words))


def _server(launch: Launch, key: str = _PLACEHOLDER) -> Json:
    # Zed requires `args` even if there are none.
    return {"command": launch.command, "args": list(launch.arguments), "env": {_KEY: key}}


def _servers(launch: Launch, key: str = _PLACEHOLDER) -> str:
    return _json({"mcpServers": {NAME: _server(launch, key)}})


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _toml(launch: Launch) -> str:
    lines = [f"[mcp_servers.{NAME}]", f"command = {json.dumps(launch.command)}"]
    if launch.arguments:
        lines.append(f"args = {json.dumps(launch.arguments)}")
    lines += [f"startup_timeout_sec = {_CODEX_SECONDS}", ""]
    return "\n".join([*lines, f"[mcp_servers.{NAME}.env]", f"{_KEY} = {json.dumps(_PLACEHOLDER)}"])
