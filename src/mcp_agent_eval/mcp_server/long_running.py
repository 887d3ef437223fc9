"""The long-running wrapper: wait for work that may outlast any host's patience, report, hand back a handle.

The work itself runs in the backend and knows nothing of the request that waits for it: a request that is
cancelled or times out takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp_agent_eval.lab.waiting import Settling, Wait, wait_until_final
from mcp_agent_eval.mcp_server.app import Ctx

S = TypeVar("S", bound=Settling)
Step = tuple[float, float, str]
"""How much is done, of how much, and that in words."""


async def follow(ctx: Ctx, wait: Wait[S], seconds: float, describe: Callable[[S], Step]) -> S:
    """Wait for the end, at most this long or until the server stops, and tell the host how far it is."""
    progress = Progress(ctx.report_progress)

    async def report(state: S) -> None:
        await progress.report(*describe(state))

    app = ctx.request_context.lifespan_context
    state = await app.unless_stopped(wait_until_final(wait, seconds, report))
    return await wait(0) if state is None else state


class Progress:
    """Progress that only ever grows, as the protocol demands, also when there is no news."""

    def __init__(self, send: Callable[[float, float | None, str | None], Awaitable[None]]) -> None:
        self._send = send
        self._last = 0.0

    async def report(self, done: float, total: float, message: str) -> None:
        """Tell the host, if it asked to be told."""
        self._last = max(done, self._last + 0.001)
        await self._send(self._last, max(total, self._last), message)
