"""One side of the seam: an engine in this process, on one machine, without an account."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import anyio

from mcp_agent_eval.backend.base import Reference
from mcp_agent_eval.engine.limits.billing import Prices
from mcp_agent_eval.engine.limits.lanes import Lanes
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.records.catalogue import Catalogue
from mcp_agent_eval.engine.records.references import References
from mcp_agent_eval.engine.running.runs import Runs
from mcp_agent_eval.engine.running.signals import Signals
from mcp_agent_eval.engine.running.worker import Worker
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.store.addresses import shown
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.tools.webhooks.fire import Webhooks
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


class EmbeddedBackend:
    """Implements every verb of the seam with the engine's own parts."""

    def __init__(
        self,
        address: str,
        catalogue: Catalogue,
        references: References,
        runs: Runs,
        signals: Signals,
        outdated: anyio.Event,
    ) -> None:
        self.outdated = outdated
        """Set once a newer version has changed the database: no more runs are executed here."""
        self._address = address
        self._catalogue = catalogue
        self._references = references
        self._runs = runs
        self._signals = signals

    async def capabilities(self) -> Capabilities:
        return Capabilities(backend="embedded", address=self._address)

    async def create(self, kind: Kind, draft: Json, *, idempotency_key: str | None = None) -> Noun:
        return await self._catalogue.create(kind, draft, idempotency_key)

    async def get(self, kind: Kind, id: str) -> Noun:
        return await self._catalogue.get(kind, id)

    async def list(
        self, kind: Kind, *, limit: int = 20, offset: int = 0, **filters: str | None
    ) -> Page[Noun]:
        return await self._catalogue.list(kind, limit=limit, offset=offset, filters=filters)

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        return await self._catalogue.update(kind, id, changes)

    async def delete(self, kind: Kind, id: str) -> None:
        await self._catalogue.delete(kind, id)

    async def find(self, kind: Reference, reference: str) -> str:
        return await self._references.find(kind, reference)

    async def start_run(
        self, case_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> Run:
        return await self._runs.start(case_id, agent_overrides, idempotency_key)

    async def start_suite_run(
        self, suite_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> StartedSuiteRun:
        return await self._runs.start_suite(suite_id, agent_overrides, idempotency_key)

    async def simulate_flow(
        self,
        agent_id: str,
        *,
        transcript: Sequence[Json],
        mock_tool_results: Json | None = None,
        flow_config: Json | None = None,
    ) -> Json:
        return await self._catalogue.simulate_flow(agent_id, transcript, mock_tool_results or {}, flow_config)

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
        return await self._runs.suite_run(id, with_runs=with_runs)

    async def suite_runs(self, suite_id: str) -> list[SuiteRun]:
        return await self._runs.suite_runs(suite_id)

    def moved_runs(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._signals.listening()

    async def wait_run(self, id: str, seconds: float) -> Run:
        return await self._runs.wait(id, seconds)

    async def wait_suite_run(self, id: str, seconds: float) -> SuiteRun:
        return await self._runs.wait_suite(id, seconds)


@asynccontextmanager
async def open_embedded(settings: Settings) -> AsyncGenerator[EmbeddedBackend]:
    """The engine, working until the block exits. Unfinished runs then go back to the queue.

    Raises:
        StoreError: the database cannot be opened.
    """
    signals = Signals()
    async with aclosing(await open_database(settings.database_url, signals.hear)) as database:
        lanes = Lanes(database)
        webhooks = Webhooks(allow_private=settings.allow_private_addresses)
        async with aclosing(Models(settings, lanes.gate)) as models:
            workshop = Workshop(settings, database, lanes, models, Prices(settings.prices), signals, webhooks)
            worker = Worker(workshop)
            async with worker.working():
                yield EmbeddedBackend(
                    shown(settings.database_url),
                    Catalogue(database),
                    References(database),
                    Runs(workshop),
                    signals,
                    worker.outdated,
                )
