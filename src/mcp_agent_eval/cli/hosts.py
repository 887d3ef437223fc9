"""The configuration that each host wants, ready to paste, for the installation that is running."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

NAME = "agent-eval"
_KEY = {"OPENAI_API_KEY": "sk-..."}


def command() -> str:
    """The full path of this installation's command: hosts start servers without a shell's PATH."""
    beside = Path(sys.executable).with_name("mcp-agent-eval")
    return str(beside) if beside.exists() else shutil.which("mcp-agent-eval") or "mcp-agent-eval"


def configurations(path: str) -> Iterator[tuple[str, str]]:
    """Host and what to give it, for Claude Code, Cursor, VS Code and Codex."""
    server = {"command": path, "env": _KEY}
    yield "Claude Code (run this)", f"claude mcp add {NAME} -e OPENAI_API_KEY=sk-... -- {path}"
    yield "Cursor (~/.cursor/mcp.json)", _json({"mcpServers": {NAME: server}})
    yield "VS Code (.vscode/mcp.json)", _json({"servers": {NAME: {"type": "stdio"} | server}})
    yield "Codex (~/.codex/config.toml)", _toml(path)


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


def _toml(path: str) -> str:
    key, value = next(iter(_KEY.items()))
    return (
        f"[mcp_servers.{NAME}]\ncommand = {json.dumps(path)}\n\n"
        f"[mcp_servers.{NAME}.env]\n{key} = {json.dumps(value)}"
    )
