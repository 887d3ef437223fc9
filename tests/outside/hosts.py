"""Command-line hosts from npm, each making one whole journey: create, run, read. Their model is our stand-in."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.outside.overheard import era, overheard
from tests.outside.place import Done, Finding, Place, plain_environment
from tests.outside.stand_in import SAYS_AT_END, SERVER, STEPS, StandIn, stand_in
from tests.support import call

CLAUDE = "@anthropic-ai/claude-code@2.1.330"
CODEX = "@openai/codex@0.169.0"
CODEX_MODEL = "gpt-5.5"
"""One that Codex knows, since what it lets a model do depends on that."""

TASK = "Test the clinic's agent: make it, a persona and a case, run the case and read the transcript."


@dataclass(frozen=True)
class Server:
    """How a host reaches ours: over HTTP where there is an address, else over stdio with these settings."""

    settings: Mapping[str, str]
    address: str | None


Host = Callable[[Place, Server, str, Path], Awaitable[Done]]


async def check(place: Place) -> AsyncIterator[Finding]:
    """A finding for each host and transport."""
    for package, host in ((CLAUDE, claude_code), (CODEX, codex)):
        for transport in ("stdio", "HTTP"):
            yield await journey(place, package, host, transport)


async def journey(place: Place, package: str, host: Host, transport: str) -> Finding:
    """One host's journey over one transport, and whether all of it is in the store afterwards."""
    name = f"{package.split('/')[1].partition('@')[0]}-{transport.lower()}"
    home = place.folder / "homes" / name
    home.mkdir(parents=True, exist_ok=True)
    settings = place.settings(name)
    methods: list[str] = []
    async with stand_in() as (model, model_address), reached(place, name, transport, methods) as address:
        done = await host(place, Server(settings, address), model_address, home)
    problems = [
        *wrong_in(model),
        *([] if SAYS_AT_END in done.out else [f"it ended with {done.code}: {said_by(done)}"]),
    ]
    if not await has_a_run(settings):
        problems.append("no completed run is in the store")
    spoken = f", {era(methods)}" if methods else ""
    searched = f"{len(STEPS)} calls, after {model.searches} searches for tools{spoken}"
    return Finding(f"{package} over {transport}", not problems, "; ".join(problems) or searched)


@asynccontextmanager
async def reached(place: Place, name: str, transport: str, methods: list[str]) -> AsyncIterator[str | None]:
    """The address of a server that runs, where the transport needs one; `methods` is filled with what it is asked."""
    if transport == "stdio":
        yield None
        return
    async with place.serve(name) as served, overheard(served, methods) as address:
        yield address


def wrong_in(model: StandIn) -> list[str]:
    """What the model would have missed."""
    missing = [tool for tool, _ in STEPS if tool not in model.said.calls]
    if missing:
        return [
            f"{', '.join(missing)} was not called; the last result: {(model.said.results or ['none'])[-1][:500]}"
        ]
    return [] if "untrusted_turns" in model.said.results[-1] else ["the transcript did not reach the model"]


def said_by(done: Done) -> str:
    return (done.err.strip() or done.out.strip())[-500:]


async def has_a_run(settings: Mapping[str, str]) -> bool:
    """Whether the store has a completed run, as a server that is started afterwards finds it."""
    server = StdioServerParameters(command=sys.executable, args=["-m", "mcp_agent_eval"], env=dict(settings))
    async with Client(server) as client:
        listed: dict[str, Any] = await call(client, "list_runs")
    return "completed" in json.dumps(listed)


# --- The hosts


async def claude_code(place: Place, server: Server, model: str, home: Path) -> Done:
    """Claude Code, not interactive; our tools are allowed and nothing else."""
    reached_by = {"type": "http", "url": f"{server.address}/mcp"} if server.address else stdio(server)
    config = home / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {SERVER: reached_by}}), encoding="utf-8")
    program = await place.npm(CLAUDE) / ".bin" / "claude"
    options = [
        "--mcp-config",
        config,
        "--strict-mcp-config",
        "--allowedTools",
        f"mcp__{SERVER}",
        "--output-format",
        "json",
    ]
    environment = {
        "HOME": str(home),
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return await place.run(program, "-p", TASK, *options, env=await place.node() | environment, cwd=home)


async def codex(place: Place, server: Server, model: str, home: Path) -> Done:
    """Codex, not interactive; our tools are approved beforehand, as its users do."""
    reached_by = {"url": f"{server.address}/mcp"} if server.address else stdio(server)
    settings: dict[str, Any] = {
        "model": CODEX_MODEL,
        "model_provider": "stand_in",
        "model_providers.stand_in.name": "stand-in",
        "model_providers.stand_in.base_url": f"{model}/v1",
        "model_providers.stand_in.wire_api": "responses",
        f"mcp_servers.{SERVER}.default_tools_approval_mode": "approve",
    }
    settings |= {f"mcp_servers.{SERVER}.{name}": value for name, value in reached_by.items()}
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={toml(value)}")]
    program = await place.npm(CODEX) / ".bin" / "codex"
    environment = {"HOME": str(home), "CODEX_HOME": str(home)}
    command = [program, "exec", "--skip-git-repo-check", *given, TASK]
    return await place.run(*command, env=await place.node() | environment, cwd=home)


def stdio(server: Server) -> dict[str, Any]:
    """How a host starts ours. Hosts pass on little of their environment, so ours gets all it needs."""
    needed = {
        name: plain_environment()[name] for name in ("PATH", "PYTHONPATH") if name in plain_environment()
    }
    return {
        "command": sys.executable,
        "args": ["-m", "mcp_agent_eval"],
        "env": dict(server.settings) | needed,
    }


def toml(value: Any) -> str:
    """A value as TOML has it: JSON, but for the tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)
