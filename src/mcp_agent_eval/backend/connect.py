"""Opens the backend that the settings choose."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio import to_thread

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.telemetry import flush_spans


@dataclass(frozen=True, slots=True)
class Connection:
    """An open backend and the settings it was opened with."""

    backend: Backend
    settings: Settings

    def seconds(self, wanted: float | None) -> float:
        """How long a call may wait: what it asks for or the default, but never above the cap."""
        return min(self.settings.wait_seconds if wanted is None else wanted, self.settings.wait_cap)


@asynccontextmanager
async def connect(settings: Settings | None = None) -> AsyncGenerator[Connection]:
    """The backend of these settings, or of the environment's, open until the block exits.

    Raises:
        NotConfigured: a setting does not fit.
        StoreError: the database cannot be used.
    """
    settings = settings or Settings.read()
    try:
        async with _open(settings) as backend:
            yield Connection(backend, settings)
    finally:
        # On a signal this closes last, and nothing after it would have the time to send the spans.
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(flush_spans)


def _open(settings: Settings) -> AbstractAsyncContextManager[Backend]:
    """Import late: each side needs imports that the other does without."""
    if settings.backend == "hosted":
        from mcp_agent_eval.backend.hosted.backend import open_hosted

        return open_hosted(settings)
    from mcp_agent_eval.backend.embedded import open_embedded

    return open_embedded(settings)
