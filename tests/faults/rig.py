"""A database full of runs, a provider and a fleet: what every scenario begins with."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio

from mcp_agent_eval.backend.embedded import EmbeddedBackend, open_embedded
from mcp_agent_eval.lab.packs.loading import load_pack
from mcp_agent_eval.settings import PREFIX, Settings
from tests.faults.fleet import Fleet, fleet
from tests.faults.provider import NO_FAULTS, Faults, Provider, provider
from tests.faults.records import Records
from tests.faults.script import AGENT, CALLER, FOUND, JUDGE, MODELS, TOOL, Call, Json, transcript

_LOOK_AGAIN = 0.02
_PRICE = {"input": 1.0, "output": 10.0}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many runs there are, and what they are divided into.

    `suites` are the parallelisms of suite runs, which share the runs in proportion; `alone` of all runs belong to
    none. `budget` is a ceiling, in dollars, that no run comes near.
    """

    runs: int
    suites: Sequence[int] = (4, 8, 12, 16)
    alone: float = 0.1
    at_once: int = 8
    """How many runs a worker executes at once."""
    model_limit: int | None = None
    """How many runs may use the caller's model at once."""
    budget: float | None = None
    acts: bool = False
    """Whether the agent's tool acts for real."""
    seed: int = 0
    faults: Faults = NO_FAULTS
    settings: Mapping[str, object] = field(default_factory=dict[str, object])

    def calls(self) -> list[Call]:
        """Every case, once."""
        random = Random(self.seed)
        groups = [0, *range(1, len(self.suites) + 1)]
        weights = [self.alone * sum(self.suites), *self.suites]
        chosen = random.choices(groups, weights, k=self.runs)
        return [Call(number, suite, random.randint(3, 6)) for number, suite in enumerate(chosen)]


@dataclass(frozen=True, slots=True)
class Rig:
    """What a scenario plays with. `calls` are the cases that were started, by the ids of their cases."""

    plan: Plan
    calls: Mapping[str, Call]
    provider: Provider
    fleet: Fleet
    records: Records

    async def until(self, holds: Callable[[], Any], seconds: float = 60) -> None:
        """Wait for something that no one tells.

        Raises:
            TimeoutError: it did not come about.
        """
        with anyio.fail_after(seconds):
            while not holds():  # noqa: ASYNC110 - neither a process nor a file tells of it
                await anyio.sleep(_LOOK_AGAIN)

    async def until_moved(self, rows: int = 1, seconds: float = 60) -> None:
        """Wait for progress: so many rows of transcripts, or all that were missing."""
        goal = min(self.records.moved() + rows, self.rows)
        await self.until(lambda: self.records.moved() >= goal, seconds)

    async def until_over(self, seconds: float = 60) -> None:
        """Wait until every run is final; what is not by then is for the checks to tell."""
        with suppress(TimeoutError):
            await self.until(lambda: self.records.unfinished() == 0, seconds)

    @property
    def rows(self) -> int:
        """How many rows all transcripts have in the end."""
        return sum(len(list(transcript(call))) for call in self.calls.values())


@asynccontextmanager
async def rig(url: str, folder: Path, plan: Plan, **options: float) -> AsyncGenerator[Rig]:
    """The runs of a plan, queued, and no worker yet; `options` are those that every worker is started with."""
    async with provider(plan.faults, plan.seed) as model:
        settings = _settings(url, model, plan)
        async with open_embedded(Settings.read(**settings | {"max_concurrency": 0})) as backend:
            calls = await _start(backend, plan, model.tool_url)
        async with fleet(folder, _environment(settings), **options) as workers:
            yield Rig(plan, calls, model, workers, Records(url))


def _settings(url: str, model: Provider, plan: Plan) -> dict[str, Any]:
    limits = {CALLER: plan.model_limit} if plan.model_limit else {}
    ceilings = {name: plan.budget for name in ("suite_budget", "day_budget") if plan.budget}
    return {
        "database_url": url,
        "model_base_url": model.url,
        "agent_model": f"openai:{AGENT}",
        "persona_model": f"openai:{CALLER}",
        "judge_model": f"openai:{JUDGE}",
        "prices": dict.fromkeys(MODELS, _PRICE),
        "model_attempts": 3,
        "max_concurrency": plan.at_once,
        "model_concurrency": limits,
        "allow_private_addresses": plan.acts,
        **ceilings,
        **plan.settings,
    }


def _environment(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }


async def _start(backend: EmbeddedBackend, plan: Plan, tool_url: str) -> dict[str, Call]:
    """Make every case and start it; the calls by the ids of their cases."""
    tool = TOOL | ({"type": "webhook", "config": {"url": tool_url}} if plan.acts else {})
    calls = plan.calls()
    ids = await load_pack(backend, _pack(plan, calls, tool))
    for suite in sorted({call.suite for call in calls} - {0}):
        await backend.start_suite_run(ids["suite"][f"Suite {suite}"])
    found = {ids["case"][call.mark]: call for call in calls}
    for case_id, call in found.items():
        if not call.suite:
            await backend.start_run(case_id)
    return found


def _pack(plan: Plan, calls: Sequence[Call], tool: Json) -> dict[str, Any]:
    agent = {"name": "Echo", "system_prompt": "Echo.", "agent_speaks_first": False, "tools": [tool]}
    return {
        "agents": [agent],
        "personas": [{"name": "Caller", "identity_prompt": "You count lines."}],
        "suites": [
            {"name": f"Suite {number}", "parallelism": parallelism}
            for number, parallelism in enumerate(plan.suites, 1)
        ],
        "cases": [_case(plan, call) for call in calls],
    }


def _case(plan: Plan, call: Call) -> dict[str, Any]:
    criteria = [
        {"type": "must_call_tool", "tool_name": TOOL["name"]},
        {"type": "custom_llm_judge", "rubric": "Every line is echoed."},
    ]
    return {
        "name": call.mark,
        "agent": "Echo",
        "persona": "Caller",
        "scenario": call.mark,
        "tool_mocks": {TOOL["name"]: {"result": FOUND}},
        "tool_policy": "real" if plan.acts else "mock",
        "success_criteria": criteria,
        **({"suite": f"Suite {call.suite}"} if call.suite else {}),
    }
