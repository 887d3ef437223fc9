"""Polls work in progress at growing intervals, once for everyone who waits for the same run.

Nothing runs in the background: waiting callers take turns polling, so without any of them nothing is requested.
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
    """Everything of one kind that is waited for. `look` reads one by id; `moved` is called on each change."""

    def __init__(
        self, look: Callable[[str], Awaitable[S]], moved: Callable[[S], None], *, first: float = FIRST
    ) -> None:
        self._look = look
        self._moved = moved
        self._first = first
        self._watches: dict[str, _Watch[S]] = {}

    @property
    def waited_for(self) -> list[str]:
        """The ids that are currently waited for."""
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
        """Record a state that was read for another reason."""
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
        """The latest state; the first caller after a poll is due makes it, and the others share the result."""
        async with watch.lock:
            if watch.state is None or at_once or watch.is_due():
                self._take(watch, await self._look(id))
            assert watch.state is not None, "a look brings a state or raises"
            return watch.state

    def _take(self, watch: _Watch[S], state: S) -> None:
        if watch.take(state):
            self._moved(state)

    def _forget_some(self) -> None:
        """Forget the oldest states, so that a long-lived process does not use more and more memory."""
        idle = [id for id, watch in self._watches.items() if not watch.waiting]
        for id in idle[: max(0, len(self._watches) - _KEPT)]:
            del self._watches[id]


class _Watch(Generic[S]):
    """One run or suite run: its last known state, and when the next poll is due."""

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
        """Record a state. True if it has changed."""
        changed = self.state is not None and state != self.state
        self._interval = self._first if changed else min(self._interval * _GROWTH, _LONGEST)
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)
        self._due = anyio.current_time() + self._interval * jitter
        self.state = state
        return changed

    def is_due(self) -> bool:
        """Whether it is time to poll again; a final state is never polled again."""
        final = self.state is not None and self.state.is_final
        return not final and anyio.current_time() >= self._due

    def pause(self) -> float:
        """Seconds until the next poll."""
        return max(0.0, self._due - anyio.current_time())
