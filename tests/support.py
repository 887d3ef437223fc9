"""Small things that many tests share."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(name: str) -> Path:
    """A file of the recorded material beside the checkout; skips where it is absent, fails in CI."""
    path = SHARED / name
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{name} must stand beside the checkout in CI")
        pytest.skip(f"needs the recorded material beside the checkout: {name}")
    return path


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def replayed_dialogues(*arguments: str) -> Iterator[str]:
    """The recorded dialogues as a model provider; yields its address."""
    port = free_port()
    script, data = shared_path("tools/replay_llm.py"), shared_path("real/dialogues_dev.jsonl")
    command = [sys.executable, str(script), "--data", str(data), "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["listening"]
        finally:
            process.terminate()


def stdio_server(folder: Path, **settings: str) -> StdioServerParameters:
    """How to start the real server with a database in `folder`; `settings` without their prefix."""
    env = {"AGENT_EVAL_DATABASE_URL": f"sqlite:///{folder / 'evals.db'}"}
    env |= {f"AGENT_EVAL_{name.upper()}": value for name, value in settings.items()}
    return StdioServerParameters(command=sys.executable, args=["-m", "mcp_agent_eval"], env=env)


OFFLINE = {"agent_model": "offline", "persona_model": "offline", "judge_model": "offline"}
"""Settings that let the offline model play every role."""


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a tool call that has to succeed."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured error of a tool call that has to fail."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    assert result.structured_content is not None
    return result.structured_content
