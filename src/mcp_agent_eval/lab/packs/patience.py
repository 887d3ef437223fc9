"""Waits for an API with a rate limit, for work that need not be answered at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from mcp_agent_eval.errors import RateLimited

T = TypeVar("T")

_MINUTE = 60.0
_LEAST = 1.0
_ATTEMPTS = 10
_log = logging.getLogger(__name__)


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The result of a call, retried after a pause whenever the limit was used up.

    Raises:
        RateLimited: it still was after ten pauses: others use the same key.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await call()
        except RateLimited as exc:
            seconds = max(_LEAST, _MINUTE if exc.retry_after is None else exc.retry_after)
            _log.warning("%s Continuing in %.0f seconds.", exc.message, seconds)
            await anyio.sleep(seconds)
    return await call()
