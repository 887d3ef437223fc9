"""Waits for work that becomes final at some time, with regular looks for progress reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from anyio import current_time

HEARTBEAT = 4.0
"""Seconds without news after which to look anyway; hosts expect a sign every 5 to 15 seconds."""


class Settling(Protocol):
    """Work that becomes final at some time: a run or a suite run."""

    @property
    def is_final(self) -> bool:
        """Whether nothing about it can change any more."""
        ...


S = TypeVar("S", bound=Settling)
Wait = Callable[[float], Awaitable[S]]
Report = Callable[[S], Awaitable[None]]


async def wait_until_final(wait: Wait[S], seconds: float, report: Report[S] | None = None) -> S:
    """The state of the work when it is final, or after `seconds`.

    `wait(s)` returns at the next change or after `s` seconds; `report` is called for each, and at least
    once per heartbeat.
    """
    deadline = current_time() + seconds
    while True:
        left = deadline - current_time()
        state = await wait(max(0.0, min(left, HEARTBEAT)))
        if state.is_final or left <= 0:
            return state
        if report:
            await report(state)
