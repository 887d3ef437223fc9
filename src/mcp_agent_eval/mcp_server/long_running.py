"""The long-running wrapper: wait for work that may outlast any host's patience, report, hand back a handle.

The work itself runs in the backend and knows nothing of the request that waits for it: a request that is
cancelled or times out takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from anyio import current_time

HEARTBEAT = 4.0
"""Seconds without news after which progress is reported all the same; hosts want a sign every 5 to 15."""


class Settling(Protocol):
    """Work that becomes final at some time: a run or a suite run."""

    @property
    def is_final(self) -> bool:
        """Whether nothing about it can change any more."""
        ...


S = TypeVar("S", bound=Settling)
Wait = Callable[[float], Awaitable[S]]
Report = Callable[[S], Awaitable[None]]


async def wait_until_final(wait: Wait[S], seconds: float, report: Report[S]) -> S:
    """What the work has come to when it is final, or after `seconds`.

    `wait(s)` returns at the next change or after `s` seconds; `report` is called for each, and at least
    once per heartbeat.
    """
    deadline = current_time() + seconds
    while True:
        left = deadline - current_time()
        state = await wait(max(0.0, min(left, HEARTBEAT)))
        if state.is_final or left <= 0:
            return state
        await report(state)


class Progress:
    """Progress that only ever grows, as the protocol demands, also when there is no news."""

    def __init__(self, send: Callable[[float, float | None, str | None], Awaitable[None]]) -> None:
        self._send = send
        self._last = 0.0

    async def report(self, done: float, total: float, message: str) -> None:
        """Tell the host, if it asked to be told."""
        self._last = max(done, self._last + 0.001)
        await self._send(self._last, max(total, self._last), message)
