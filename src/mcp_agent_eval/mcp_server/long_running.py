"""Waits for work that may take longer than any host waits: reports progress, then returns a handle.

The work itself runs in the backend and knows nothing about the request that waits for it: a request that is
cancelled or times out stops nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp_agent_eval.lab.waiting import Settling, Wait, wait_until_final
from mcp_agent_eval.mcp_server.app import Ctx

S = TypeVar("S", bound=Settling)
Step = tuple[float, float, str]
"""How much is done, of how much, and both in words."""


async def follow(ctx: Ctx, wait: Wait[S], seconds: float, describe: Callable[[S], Step]) -> S:
    """Wait for the end, at most this long or until the server stops, and report progress to the host."""
    progress = Progress(ctx.report_progress)

    async def report(state: S) -> None:
        await progress.report(*describe(state))

    app = ctx.request_context.lifespan_context
    state = await app.unless_stopped(wait_until_final(wait, seconds, report))
    return await wait(0) if state is None else state


class Progress:
    """Progress that always grows, as the protocol demands, even without news."""

    def __init__(self, send: Callable[[float, float | None, str | None], Awaitable[None]]) -> None:
        self._send = send
        self._last = 0.0

    async def report(self, done: float, total: float, message: str) -> None:
        """Report to the host, if it asked for progress."""
        self._last = max(done, self._last + 0.001)
        await self._send(self._last, max(total, self._last), message)
