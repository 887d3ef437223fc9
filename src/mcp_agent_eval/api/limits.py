"""Limits the requests per key and minute. A key is any name; nothing here depends on HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from mcp_agent_eval.errors import RateLimited

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Window:
    """What is left of a key's limit. `reset` is when the window ends, in whole unix seconds."""

    limit: int
    remaining: int
    reset: int


@dataclass(slots=True)
class _Count:
    start: float
    taken: int = 0

    def holds(self, moment: float) -> bool:
        # A clock that was set back must not make a key wait for more than a minute.
        return self.start <= moment < self.start + _SECONDS


class RateLimit:
    """A fixed window of 60 seconds per key, opened by the first request. `clock` returns unix seconds."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._clock = clock
        # Oldest window first, since a new one always goes to the end.
        self._counts: dict[str, _Count] = {}

    def take(self, key: str) -> Window:
        """Count one request.

        Raises:
            RateLimited: the window has no request left; `retry_after` is in whole seconds.
        """
        moment = self._clock()
        self._forget(moment)
        count = self._current(key, moment)
        if count.taken >= self.per_minute:
            raise self._refused(count, moment)
        count.taken += 1
        self._counts[key] = count
        return self._window(count)

    def window(self, key: str) -> Window:
        """The current window of a key, without counting anything."""
        return self._window(self._current(key, self._clock()))

    def _current(self, key: str, moment: float) -> _Count:
        """The count of the key's window, or of one that would open now."""
        count = self._counts.get(key)
        if count is not None and count.holds(moment):
            return count
        self._counts.pop(key, None)
        return _Count(moment)

    def _forget(self, moment: float) -> None:
        """Drop the windows that are over."""
        while self._counts and not self._counts[oldest := next(iter(self._counts))].holds(moment):
            del self._counts[oldest]

    def _window(self, count: _Count) -> Window:
        return Window(self.per_minute, self.per_minute - count.taken, math.ceil(count.start + _SECONDS))

    def _refused(self, count: _Count, moment: float) -> RateLimited:
        wait = max(1, math.ceil(count.start + _SECONDS - moment))
        return RateLimited(
            f"More than {self.per_minute} requests in a minute (AGENT_EVAL_RATE_LIMIT).",
            hint=f"Try again in {wait} seconds.",
            retry_after=wait,
        )
