"""Our server, as `serve` has it, with the conformance suite's fixtures beside our own tools.

    python -m tests.outside.fixture_server --port PORT

HTTP, keys, guard, tasks and completion are ours and untouched. The tools that the suite expects to become tasks are
real runs: its names for them are turned into calls of `run_case`, on a case that takes as many seconds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import anyio
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext

from mcp_agent_eval.api.serve import serve
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import Connection
from mcp_agent_eval.mcp_server import http, tasks
from mcp_agent_eval.mcp_server.app import App, Connect
from mcp_agent_eval.mcp_server.server import assemble
from mcp_agent_eval.settings import Settings
from tests.outside.fixtures import add_fixtures
from tests.provider import provider

Json = dict[str, Any]

TICK = 0.25
"""Seconds between two turns of a run, which is as long as it takes to stop."""

DEFAULT_SECONDS = {"slow_compute": 0.0, "failing_job": 1.0, "confirm_delete": 1.0}
"""What the suite calls its slow tools, and how long they take when it does not say."""


async def runs_for_tools(ctx: ServerRequestContext[App, Any], call_next: CallNext) -> HandlerResult:
    """A middleware by which a slow tool of the suite is a run of ours."""
    named = str((ctx.params or {}).get("name"))
    if ctx.method != "tools/call" or named not in DEFAULT_SECONDS:
        return await call_next(ctx)
    given = (ctx.params or {}).get("arguments") or {}
    seconds = float(given.get("seconds", DEFAULT_SECONDS[named]))
    case = await a_case((await ctx.lifespan_context.connection()).backend, seconds)
    changed = dict(ctx.params or {}) | {"name": "run_case", "arguments": {"case_id": case}}
    return await call_next(replace(ctx, params=changed))


async def a_case(backend: Backend, seconds: float) -> str:
    """A case whose run takes that long."""
    agent = await backend.create("agent", {"name": "Patient", "system_prompt": "You wait."})
    persona = await backend.create("persona", {"name": "Slow", "identity_prompt": "You are slow."})
    draft: Json = {
        "agent_id": agent.id,
        "persona_id": persona.id,
        "scenario": f"You talk for {seconds} seconds.",
    }
    return (await backend.create("case", draft | {"name": f"{seconds} seconds", "max_turns": 100})).id


async def talk(body: Json) -> str:
    """The persona, which says goodbye when its time is over; the agent in between."""
    text = str(body["messages"])
    wanted = re.search(r"You talk for ([0-9.]+) seconds", text)
    if wanted is None:
        return f"This is remark {text.count('remark')}."
    spoken = sum(message["role"] == "assistant" for message in body["messages"])
    if spoken * TICK >= float(wanted[1]):
        return "Goodbye. [END OF CALL]"
    await anyio.sleep(TICK)
    return f"This is thought {spoken}."


def with_fixtures(
    connect: Connect, *, middleware: Sequence[ServerMiddleware[Any]] = (), **options: Any
) -> tuple[MCPServer[App], App]:
    """What `assemble` puts together, and the fixtures."""
    server, app = assemble(connect, middleware=[*middleware, runs_for_tools], **options)
    add_fixtures(server)
    return server, app


@asynccontextmanager
async def opened(connection: Connection, largest_body: int) -> AsyncIterator[http.McpOverHttp]:
    """The MCP server of a connection, as `serve` opens it."""
    # The suite wants a task even of what is over at once.
    with mock.patch.object(http, "assemble", with_fixtures), mock.patch.object(tasks, "_MOMENT", 0):
        async with http.open_http(connection, largest_body) as app:
            yield app


async def run(port: int) -> None:
    """Serve until a signal ends it."""
    async with provider(talk) as model:
        played = {"agent_model": "openai:slow", "persona_model": "openai:slow", "model_base_url": model.url}
        settings = Settings.read(**Settings.read().model_dump(exclude_unset=True) | played)
        await serve(settings, "127.0.0.1", port, lambda *_: None, opened)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    anyio.run(run, parser.parse_args().port)
