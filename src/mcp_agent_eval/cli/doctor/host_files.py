"""Checks the configuration files of hosts on this machine: the command that they start under our name must exist.

Only entries that name this server are read, and nothing is changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

from mcp_agent_eval.cli.doctor.findings import Finding, fail, ok, warn
from mcp_agent_eval.cli.doctor.variables import misfits, unknown_variables
from mcp_agent_eval.cli.hosts import COMMAND, NAME, this_installation
from mcp_agent_eval.types import Json

_ABOUT = "hosts"
_OURS = (COMMAND, "mcp_agent_eval")
_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")
_PLACEHOLDER = re.compile(r"\$\{|%\w+%")


class HostFile(NamedTuple):
    """A file in which a host looks for servers, and the name of the section with the servers."""

    host: str
    path: Path
    section: str


class _Server(NamedTuple):
    """An entry of such a file: the command to start, and its variables."""

    name: str
    words: tuple[str, ...]
    variables: Mapping[str, str]


def check_host_files() -> Iterator[Finding]:
    """Every entry that names this server, in every existing file."""
    found = [finding for file in host_files() if file.path.exists() for finding in _check(file)]
    yield from found or [
        ok(
            _ABOUT,
            f"No host on this machine names this server yet. {COMMAND} hosts shows what each one needs.",
        )
    ]


def host_files() -> Iterator[HostFile]:
    """Where hosts look: in the user's files, and in the current folder."""
    home, here, data, config = Path.home(), Path.cwd(), _application_data(), _config_folder()
    codex = Path(os.environ.get("CODEX_HOME") or home / ".codex")
    zed = data / "Zed" if sys.platform == "win32" else config / "zed"
    yield HostFile("Claude Code", home / ".claude.json", "mcpServers")
    yield HostFile("Claude Code", here / ".mcp.json", "mcpServers")
    yield HostFile("Claude Desktop", data / "Claude" / "claude_desktop_config.json", "mcpServers")
    yield HostFile("Codex", codex / "config.toml", "mcp_servers")
    yield HostFile("VS Code", data / "Code" / "User" / "mcp.json", "servers")
    yield HostFile("VS Code", here / ".vscode" / "mcp.json", "servers")
    for base in dict.fromkeys((home, here)):
        yield HostFile("Cursor", base / ".cursor" / "mcp.json", "mcpServers")
        yield HostFile("Gemini CLI", base / ".gemini" / "settings.json", "mcpServers")
    yield HostFile("Zed", zed / "settings.json", "context_servers")
    yield HostFile("Zed", here / ".zed" / "settings.json", "context_servers")


def _application_data() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming")
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support"
    return _config_folder()


def _config_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _check(file: HostFile) -> Iterator[Finding]:
    try:
        content = _read(file.path)
    except (OSError, ValueError, TypeError) as exc:
        message = f"{file.host}: {file.path} cannot be read ({type(exc).__name__})."
        yield warn(_ABOUT, message, "Correct it: a host that cannot read it will not start any server.")
        return
    yield from _check_shape(file, content)
    for server in _servers(content, file.section):
        yield _check_command(file, server)
        own = {name: text for name, text in server.variables.items() if not _PLACEHOLDER.search(text)}
        yield from misfits(own, str(file.path))
        yield from unknown_variables(server.variables, str(file.path))


def _check_shape(file: HostFile, content: Json) -> Iterator[Finding]:
    section: object = content.get(file.section)
    if section is not None and not isinstance(section, Mapping):
        message = (
            f"{file.host}: {file.section} in {file.path} is not an object with a server under each name."
        )
        yield warn(_ABOUT, message, f"Correct it: {COMMAND} hosts shows what it has to look like.")


def _check_command(file: HostFile, server: _Server) -> Finding:
    command = server.words[0]
    about = f"{file.host}: {server.name!r} in {file.path} starts {command}"
    right = f"Write the full path: {this_installation().command}"
    if _PLACEHOLDER.search(command):
        return ok(_ABOUT, f"{about}, which the host fills in.")
    if Path(command).is_absolute():
        if shutil.which(command):
            return ok(_ABOUT, f"{about}.")
        return fail(_ABOUT, f"{about}, which does not exist or cannot be executed.", right)
    if Path(command).name != command:
        return fail(_ABOUT, f"{about}, a relative path: hosts start servers in other folders.", right)
    return _check_bare(about, command, right)


def _check_bare(about: str, command: str, right: str) -> Finding:
    """Check a command without a path: the host looks for it in a PATH that may differ from this one."""
    if not (path := shutil.which(command)):
        return fail(_ABOUT, f"{about}, which is not in PATH.", right)
    return warn(_ABOUT, f"{about}, which may not be in a host's PATH.", f"Write the full path: {path}")


def _servers(content: Json, section: str) -> Iterator[_Server]:
    """The entries that start our server; Claude Code also has entries for each project."""
    projects = _mapping(content.get("projects")).values() if section == "mcpServers" else ()
    for holder in (content, *map(_mapping, projects)):
        for name, entry in _mapping(holder.get(section)).items():
            server = _server(name, _mapping(entry))
            if server and (name == NAME or any(mark in word for mark in _OURS for word in server.words)):
                yield server


def _server(name: str, entry: Json) -> _Server | None:
    """What an entry starts; None for one called over HTTP. Zed used to nest it one level deeper."""
    started = _mapping(entry.get("command")) or entry
    command: object = started.get("path") or started.get("command")
    if not isinstance(command, str):
        return None
    given: object = started.get("args")
    arguments = map(str, cast(list[object], given)) if isinstance(given, list) else ()
    env = _mapping(started.get("env"))
    return _Server(name, (command, *arguments), {variable: str(value) for variable, value in env.items()})


def _mapping(value: object) -> Json:
    return cast(Json, value) if isinstance(value, Mapping) else {}


def _read(path: Path) -> Json:
    """Parse TOML, or JSON with the comments and trailing commas that editors allow. Raises OSError, ValueError and
    TypeError."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    bare = _COMMENT.sub(r"\1", text)
    content: object = json.loads(_LAST_COMMA.sub(r"\1", bare).strip() or "{}")
    if not isinstance(content, Mapping):
        raise TypeError("not an object")
    return cast(Json, content)
