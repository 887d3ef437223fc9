"""The official Inspector on the command line: lists, a call, a resource, a prompt and a task, in both eras."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.outside.overheard import overheard
from tests.outside.place import ROOT, Done, Finding, Place, make_case
from tests.outside.slow import slow_persona

PACKAGE, VERSION = "@modelcontextprotocol/inspector", "2.12.0"
ERAS = ("legacy", "modern")
SECONDS = 3
"""How long a run takes, so that it becomes a task where the Inspector declares that it knows tasks."""
LISTS = {
    "tools/list": "run_case",
    "prompts/list": "write_cases",
    "resources/list": "resources",
    "resources/templates/list": "eval://runs/{run_id}",
}
"""What is listed, and something that has to be in it."""


async def check(place: Place) -> AsyncIterator[Finding]:
    """A finding for each method, era and transport."""
    modules = await place.npm(f"{PACKAGE}@{VERSION}")
    async with slow_persona(SECONDS) as slow, place.serve("inspector", **slow) as address:
        case = await make_case(address)
        stdio = [sys.executable, "-m", "mcp_agent_eval", *_environment(place, slow)]
        for transport, target in (("stdio", stdio), ("HTTP", [f"{address}/mcp"])):
            for era in ERAS:
                inspector = Inspector(place, modules, target, era)
                async for name, problem in inspector.all(case):
                    yield Finding(f"{transport}, {era}: {name}", not problem, problem)
        yield await task(place, modules, address, case)


async def task(place: Place, modules: Path, address: str, case: str) -> Finding:
    """Whether the Inspector is given a task and follows it to its end."""
    methods: list[str] = []
    async with overheard(address, methods) as heard:
        said = await Inspector(place, modules, [f"{heard}/mcp"], "modern").call("run_case", case_id=case)
    asked = methods.count("tasks/get")
    passed = asked > 0 and '"completed"' in said
    return Finding("HTTP, modern: run_case as a task", passed, f"tasks/get was asked {asked} times")


def _environment(place: Place, slow: dict[str, str]) -> list[str]:
    """The settings of the server that it starts, on the store of the one that answers over HTTP."""
    settings = place.settings("inspector", **slow) | {"PYTHONPATH": str(ROOT)}
    return [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]


class Inspector:
    """The Inspector with a server and an era."""

    def __init__(self, place: Place, modules: Path, target: Sequence[str], era: str) -> None:
        self._place = place
        self._program = modules / ".bin" / "mcp-inspector"
        self._start = ["--cli", *target, "--protocol-era", era]

    async def all(self, case: str) -> AsyncIterator[tuple[str, str]]:
        """Everything that is asked of it, with what was wrong."""
        for method, wanted in LISTS.items():
            yield method, self._lacks(await self.ask("--method", method), wanted)
        yield "tools/list --strict", await self._warns("--method", "tools/list", "--strict")
        called = await self.call("run_case", case_id=case)
        yield "tools/call run_case", self._lacks(called, '"completed"')
        read = await self.ask("--method", "resources/read", "--uri", f"eval://cases/{case}")
        yield "resources/read", self._lacks(read, "You want an appointment.")
        prompt = ["--prompt-name", "write_cases", "--prompt-args", "agent=Clinic"]
        yield "prompts/get", self._lacks(await self.ask("--method", "prompts/get", *prompt), "create_case")
        refused = await self.call("run_case", case_id="nobody")
        yield "tools/call that is refused", self._lacks(refused, "NOT_FOUND")

    async def call(self, tool: str, **arguments: str) -> str:
        """A call of a tool; it follows a task by itself where it is given one."""
        given = ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        return await self.ask("--method", "tools/call", *given)

    async def ask(self, *options: str) -> str:
        """What it says to one method."""
        done = await self._run(*options, "-q")
        return done.out + done.err

    async def _warns(self, *options: str) -> str:
        """What it has against our schemas."""
        done = await self._run(*options)
        return done.err.strip() if done.code or done.err.strip() else ""

    async def _run(self, *options: str) -> Done:
        command = [self._program, *self._start, *options, "--format", "json"]
        return await self._place.run(*command, env=await self._place.node())

    def _lacks(self, text: str, wanted: str) -> str:
        return "" if wanted in text else f"{wanted!r} is not in: {text.strip()[-400:]}"
