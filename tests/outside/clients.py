"""MCP clients in Python that others publish, each in an environment of its own, on the journey of a user."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.outside.overheard import era, overheard
from tests.outside.place import Finding, Json, Place

FOLDER = Path(__file__).with_name("python_clients")
PACKAGES: Mapping[str, str] = {
    "mcp_1": "mcp==1.30.0",
    "fastmcp_client": "fastmcp==4.1.2",
    "pydantic_ai_client": "pydantic-ai-slim[mcp]==2.68.0",
    "openai_agents": "openai-agents==0.24.0",
}
"""The script of each client, and what is installed for it."""


async def check(place: Place) -> AsyncIterator[Finding]:
    """A finding for each client and transport."""
    for script, package in PACKAGES.items():
        python = await place.python(script, package)
        for transport in ("stdio", "HTTP"):
            yield await journey(place, python, script, transport)


async def journey(place: Place, python: Path, script: str, transport: str) -> Finding:
    """List the tools, create an agent, a persona and a case, run it and read what was said."""
    name = f"{script}-{transport.lower()}"
    methods: list[str] = []
    async with place.serve(name) as served, overheard(served, methods) as address:
        settings = place.settings(name)
        server: Json = {"command": sys.executable, "args": ["-m", "mcp_agent_eval"], "env": settings}
        server = server if transport == "stdio" else {"url": f"{address}/mcp"}
        program = FOLDER / f"{script}.py"
        done = await place.run(python, program, json.dumps(server), env={"PYTHONPATH": str(FOLDER)})
    passed = done.code == 0 and "journey done" in done.out
    detail = done.out.strip().splitlines()[-1] if passed else (done.err or done.out).strip()[-800:]
    if methods:
        detail += f", {era(methods)}"
    return Finding(f"{PACKAGES[script]} over {transport}", passed, detail)
