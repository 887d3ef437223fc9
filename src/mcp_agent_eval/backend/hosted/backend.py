"""The seam's other side: an agent-eval API over HTTP, the vendor's or one that `serve` offers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2

from mcp_agent_eval.backend.base import Reference
from mcp_agent_eval.backend.hosted.client import ApiClient
from mcp_agent_eval.backend.hosted.judging import LocalJudge
from mcp_agent_eval.backend.hosted.nouns import Nouns
from mcp_agent_eval.backend.hosted.runs import Runs
from mcp_agent_eval.backend.hosted.server import Server
from mcp_agent_eval.backend.hosted.suite_runs import SuiteRuns
from mcp_agent_eval.backend.hosted.watching import FIRST
from mcp_agent_eval.background import background_tasks
from mcp_agent_eval.engine.running.signals import Signals
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import (
    Capabilities,
    Json,
    Kind,
    ModelCall,
    Page,
    Run,
    RunFilter,
    StartedSuiteRun,
    SuiteRun,
    Turn,
)
from mcp_agent_eval.types.nouns import Noun


class HostedBackend:
    """Implements every verb of the seam with an API."""

    def __init__(
        self, address: str, server: Server, nouns: Nouns, runs: Runs, suite_runs: SuiteRuns, signals: Signals
    ) -> None:
        self._address = address
        self._server = server
        self._nouns = nouns
        self._runs = runs
        self._suite_runs = suite_runs
        self._signals = signals

    async def capabilities(self) -> Capabilities:
        return Capabilities(
            backend="hosted",
            address=self._address,
            creates_agents=await self._server.has("create_agents"),
            judges=await self._server.has("judge"),
            shows_model_calls=await self._server.has("model_calls"),
            keeps_idempotency_keys=await self._server.has("idempotency_key"),
        )

    async def create(self, kind: Kind, draft: Json, *, idempotency_key: str | None = None) -> Noun:
        return await self._nouns.create(kind, draft, idempotency_key)

    async def get(self, kind: Kind, id: str) -> Noun:
        return await self._nouns.get(kind, id)

    async def list(
        self, kind: Kind, *, limit: int = 20, offset: int = 0, **filters: str | None
    ) -> Page[Noun]:
        return await self._nouns.list(kind, limit=limit, offset=offset, filters=filters)

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        return await self._nouns.update(kind, id, changes)

    async def delete(self, kind: Kind, id: str) -> None:
        await self._nouns.delete(kind, id)

    async def find(self, kind: Reference, reference: str) -> str:
        reference = reference.strip()
        if kind == "run":
            return await self._runs.find(reference)
        if kind == "suite_run":
            return await self._suite_runs.find(reference)
        return await self._nouns.find(kind, reference)

    async def start_run(
        self, case_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> Run:
        return await self._runs.start(case_id, agent_overrides, idempotency_key)

    async def start_suite_run(
        self, suite_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> StartedSuiteRun:
        return await self._suite_runs.start(suite_id, agent_overrides, idempotency_key)

    async def simulate_flow(
        self,
        agent_id: str,
        *,
        transcript: Sequence[Json],
        mock_tool_results: Json | None = None,
        flow_config: Json | None = None,
    ) -> Json:
        return await self._nouns.simulate_flow(agent_id, transcript, mock_tool_results or {}, flow_config)

    async def run(self, id: str) -> Run:
        return await self._runs.get(id)

    async def runs(self, filter: RunFilter) -> Page[Run]:
        return await self._runs.page(filter)

    async def turns(self, run_id: str, *, start: int = 0, limit: int = 1000) -> list[Turn]:
        return await self._runs.turns(run_id, start, limit)

    async def calls(self, run_id: str, *, start: int = 0, limit: int = 20) -> list[ModelCall]:
        return await self._runs.calls(run_id, start, limit)

    async def cancel(self, run_id: str) -> Run:
        return await self._runs.cancel(run_id)

    async def suite_run(self, id: str, *, with_runs: bool = True) -> SuiteRun:
        return await self._suite_runs.get(id, with_runs=with_runs)

    async def suite_runs(self, suite_id: str) -> list[SuiteRun]:
        return await self._suite_runs.of_suite(suite_id)

    def moved_runs(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._signals.listening()

    async def wait_run(self, id: str, seconds: float) -> Run:
        return await self._runs.wait(id, seconds)

    async def wait_suite_run(self, id: str, seconds: float) -> SuiteRun:
        return await self._suite_runs.wait(id, seconds)


@asynccontextmanager
async def open_hosted(
    settings: Settings, *, transport: httpx2.AsyncBaseTransport | None = None, first_look: float = FIRST
) -> AsyncGenerator[HostedBackend]:
    """The API of the settings, open until the block exits. Runs there go on without us.

    `transport` stands in for the network, and `first_look` is the first interval between two looks at a run,
    in seconds.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else None
    judge, signals = LocalJudge(settings), Signals()
    async with (
        ApiClient(settings.api_url, key, transport=transport) as client,
        background_tasks() as tasks,
    ):
        server = Server(client)
        nouns = Nouns(client, server)
        runs = Runs(client, server, nouns, judge, signals, tasks, first=first_look)
        suite_runs = SuiteRuns(client, server, runs, first=first_look)
        try:
            yield HostedBackend(settings.api_url, server, nouns, runs, suite_runs, signals)
        finally:
            await judge.aclose()
