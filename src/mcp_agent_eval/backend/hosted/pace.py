"""Paces one client's requests: always below the API's limit, with room left for callers who wait for an answer.

The window slides, so no window of the server, wherever it begins, sees more than the limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import anyio

from mcp_agent_eval.errors import RateLimited

WINDOW = 60.0
_ASSUMED = 60
_RESERVED = 0.25
"""The share of the limit that polling leaves to everything else."""


class Pace:
    """Counts the requests of the last minute and holds back the one that would be too many."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = anyio.current_time,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        patience: float = 20.0,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._patience = patience
        self._limit = _ASSUMED
        self._sent: deque[float] = deque()
        self._closed_until = 0.0

    async def turn(self, *, background: bool = False) -> None:
        """Wait until one more request may be sent; in the `background`, without a limit.

        Raises:
            RateLimited: a caller waits for this request, and would have to wait too long.
        """
        while (delay := self._delay(background)) > 0:
            if not background and delay > self._patience:
                raise self.exhausted(delay)
            await self._sleep(delay)
        self._sent.append(self._clock())

    def learn(self, headers: Mapping[str, str]) -> None:
        """Adopt what an answer says about the limit; others may be using the same key."""
        self._limit = _number(headers.get("x-ratelimit-limit")) or self._limit
        remaining, reset = (_number(headers.get(f"x-ratelimit-{name}")) for name in ("remaining", "reset"))
        if remaining == 0 and reset is not None:
            self.pause(reset - self._wall())

    def pause(self, seconds: float) -> None:
        """Send nothing for a while, as the server asked; capped, so that a wrong clock cannot make it an hour."""
        self._closed_until = max(self._closed_until, self._clock() + min(max(seconds, 0.0), WINDOW))

    def exhausted(self, seconds: float) -> RateLimited:
        """The error for a request that cannot wait."""
        return RateLimited(
            f"The hosted API accepts {self._limit} requests a minute, and they are used up.",
            hint=f"Call again in {max(1, round(seconds))} seconds. Runs in progress go on.",
            retry_after=seconds,
        )

    def _delay(self, background: bool) -> float:
        now = self._clock()
        while self._sent and self._sent[0] <= now - WINDOW:
            self._sent.popleft()
        return max(self._closed_until - now, self._until_room(now, background))

    def _until_room(self, now: float, background: bool) -> float:
        reserved = max(1, int(self._limit * _RESERVED)) if background else 1
        over = len(self._sent) - max(1, self._limit - reserved)
        return self._sent[over] + WINDOW - now if over >= 0 else 0.0


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None
