"""Looks at what is still going, at growing intervals, once for everybody who waits for the same.

Nothing runs in the background: those who wait take turns in looking, so when nobody waits, nothing is asked.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from mcp_agent_eval.types import Run, SuiteRun

S = TypeVar("S", Run, SuiteRun)

FIRST = 0.5
_LONGEST = 10.0
_GROWTH = 1.5
_JITTER = 0.2
_KEPT = 500


class Watches(Generic[S]):
    """Everything of one kind that is waited for. `look` reads one by its id; `moved` hears of each change."""

    def __init__(
        self, look: Callable[[str], Awaitable[S]], moved: Callable[[S], None], *, first: float = FIRST
    ) -> None:
        self._look = look
        self._moved = moved
        self._first = first
        self._watches: dict[str, _Watch[S]] = {}

    @property
    def waited_for(self) -> list[str]:
        """The ids that somebody waits for at this moment."""
        return [id for id, watch in self._watches.items() if watch.waiting]

    async def wait(self, id: str, seconds: float) -> S:
        """The state as soon as it is final or has changed, or after `seconds`; with 0, as it is now."""
        watch = self._watches.setdefault(id, _Watch(self._first))
        with watch:
            try:
                return await self._follow(id, watch, seconds)
            finally:
                self._forget_some()

    def tell(self, id: str, state: S) -> None:
        """Take over a state that was read on another occasion."""
        watch = self._watches.get(id)
        if watch and watch.take(state):
            self._moved(state)

    async def _follow(self, id: str, watch: _Watch[S], seconds: float) -> S:
        first = await self._fresh(id, watch, at_once=not seconds)
        state = first
        with anyio.move_on_after(seconds):
            while not state.is_final and state == first:
                await anyio.sleep(watch.pause())
                state = await self._fresh(id, watch)
        return state

    async def _fresh(self, id: str, watch: _Watch[S], *, at_once: bool = False) -> S:
        """The latest state; who comes when a look is due takes it, and the others share it."""
        async with watch.lock:
            if watch.state is None or at_once or watch.is_due():
                self._take(watch, await self._look(id))
            assert watch.state is not None, "a look brings a state or raises"
            return watch.state

    def _take(self, watch: _Watch[S], state: S) -> None:
        if watch.take(state):
            self._moved(state)

    def _forget_some(self) -> None:
        """Only so many are remembered, so that a long life costs no memory."""
        idle = [id for id, watch in self._watches.items() if not watch.waiting]
        for id in idle[: max(0, len(self._watches) - _KEPT)]:
            del self._watches[id]


class _Watch(Generic[S]):
    """One run or suite run: what was last seen of it, and when the next look is due."""

    def __init__(self, first: float) -> None:
        self.state: S | None = None
        self.waiting = 0
        self.lock = anyio.Lock()
        self._first = self._interval = first
        self._due = 0.0

    def __enter__(self) -> None:
        self.waiting += 1

    def __exit__(self, *_: object) -> None:
        self.waiting -= 1

    def take(self, state: S) -> bool:
        """Keep what was seen. True when it is news."""
        changed = self.state is not None and state != self.state
        self._interval = self._first if changed else min(self._interval * _GROWTH, _LONGEST)
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)
        self._due = anyio.current_time() + self._interval * jitter
        self.state = state
        return changed

    def is_due(self) -> bool:
        """Whether it is time to look again; what is final is never looked at again."""
        final = self.state is not None and self.state.is_final
        return not final and anyio.current_time() >= self._due

    def pause(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._due - anyio.current_time())
