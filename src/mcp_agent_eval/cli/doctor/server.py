"""Checks the MCP server itself: starts it as a host does, and asks for its tools."""

from __future__ import annotations

import json
import tempfile
import time
from typing import TextIO

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_agent_eval.cli.doctor.findings import Finding, fail, ok, warn
from mcp_agent_eval.cli.hosts import Launch, this_installation
from mcp_agent_eval.lab.reports.texts import one_line

_ABOUT = "server"
_PATIENCE = 30.0
_SLOW = 8.0
"""Seconds to wait: some hosts wait for ten."""


async def check_server() -> Finding:
    """How long it takes from the start to the list of tools, and how much a host's model has to read."""
    launch = this_installation()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            with anyio.fail_after(_PATIENCE):
                return await _ask(launch, log)
        except Exception as exc:
            # Whatever keeps a server from starting, the finding is that it does not start.
            message = f"{' '.join(launch.words())} does not answer ({type(exc).__name__}). {_last_line(log)}"
            return fail(_ABOUT, message.strip(), "Start it in a shell to see why, or reinstall the package.")


async def _ask(launch: Launch, log: TextIO) -> Finding:
    # Nothing from this shell's environment: hosts do not pass it on either.
    parameters = StdioServerParameters(command=launch.command, args=list(launch.arguments))
    began = time.monotonic()
    async with Client(stdio_client(parameters, errlog=log)) as client:
        listed = await client.list_tools()
        seconds = time.monotonic() - began
    body = listed.model_dump(mode="json", by_alias=True, exclude_none=True)
    characters = len(json.dumps(body["tools"], ensure_ascii=False, separators=(",", ":")))
    message = f"Answers after {seconds:.1f} s with {len(listed.tools)} tools in {characters:,} characters."
    if seconds > _SLOW:
        return warn(
            _ABOUT, message, "Some hosts give up after ten seconds: check what keeps this machine busy."
        )
    return ok(_ABOUT, message)


def _last_line(log: TextIO) -> str:
    """The last line of a log, where a crashing Python says why."""
    log.seek(0)
    lines = log.read().splitlines()
    return one_line(lines[-1]) if lines else ""
