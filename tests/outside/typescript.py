"""The TypeScript SDK's client, which gives a call 60 seconds, against a run that takes 90."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from tests.outside.place import Done, Finding, Json, Place, make_case
from tests.outside.slow import slow_persona

SDKS = {"1": "@modelcontextprotocol/sdk@1.32.2", "2": "@modelcontextprotocol/client@2.4.0"}
ERAS = {"1": "legacy", "2": "modern"}
"""Version 1 of the SDK does not know the newer protocol."""

SCRIPT = Path(__file__).with_name("typescript_client.mjs")
RUN_SECONDS = 90
PATIENCE = 60
"""Seconds that the SDK waits for an answer unless it is told otherwise."""


async def check(place: Place) -> AsyncIterator[Finding]:
    """A finding for each version and transport. They wait at the same time."""
    findings: list[Finding] = []

    async def one(version: str, transport: str) -> None:
        findings.append(await journey(place, version, transport))

    for package in SDKS.values():
        await place.npm(package)
    async with anyio.create_task_group() as tasks:
        for version in SDKS:
            for transport in ("stdio", "HTTP"):
                tasks.start_soon(one, version, transport)
    for finding in sorted(findings, key=lambda each: each.name):
        yield finding


async def journey(place: Place, version: str, transport: str) -> Finding:
    """One client: a call with no options, the run read later, and a call whose time-out progress starts anew."""
    name = f"typescript-{version}-{transport.lower()}"
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(slow_persona(RUN_SECONDS))
        address = await stack.enter_async_context(place.serve(name, **slow))
        case = await make_case(address)
        target = [f"{address}/mcp"] if transport == "HTTP" else [sys.executable, "-m", "mcp_agent_eval"]
        folder = (await place.npm(SDKS[version])).parent
        command = ["node", SCRIPT, folder, version, ERAS[version], case, *target]
        environment = await place.node() | place.settings(name, **slow)
        done = await place.run(*command, env=environment, seconds=3 * RUN_SECONDS)
    problems = list(wrong_in(done, ERAS[version]))
    return Finding(
        f"{SDKS[version]}, {ERAS[version]}, {transport}", not problems, "; ".join(problems) or told(done)
    )


def wrong_in(done: Done, era: str) -> Iterator[str]:
    """What is not as it has to be."""
    if done.code:
        yield f"it ended with {done.code}: {done.err.strip()[-600:]}"
        return
    found: Json = json.loads(done.out)
    if era == "modern" and found["protocol"] != "2026-07-28":
        yield f"it spoke {found['protocol']}"
    if not (found["run_id"] and found["answered"] < PATIENCE and found["ended"] > PATIENCE):
        yield f"the handle came after {found['answered']} s, the end after {found['ended']} s"
    if found["status"] != "completed" or not found["read"]:
        yield f"the run could not be read: {found}"
    if found["again"] or not found["told"]:
        yield f"progress did not keep the call alive: {found}"


def told(done: Done) -> str:
    """What came of it, in a line."""
    found: Json = json.loads(done.out)
    return (
        f"handle after {found['answered']} s, result after {found['ended']} s in {found['calls']} calls;"
        f" a time-out of 8 s started anew {found['told']} times in 30 s"
    )
