"""Decides how often one call asks a model, how long it waits in between, and what is reported in the end.

Code that sends requests to a provider makes its attempts within a `Call`, which knows nothing about their content.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from mcp_agent_eval.engine.llm.failures import Failure
from mcp_agent_eval.errors import FailureKind, ModelError
from mcp_agent_eval.types import Json


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long an attempt and the whole call may take, in seconds, and how many attempts may fail."""

    timeout: float
    deadline: float
    attempts: int
    base_delay: float = 0.5
    longest_delay: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait: twice as long each time, with jitter, so that calls that failed together spread out."""
        return min(self.longest_delay, self.base_delay * 2 ** (failures - 1)) * random.uniform(0.5, 1)


class Gate(Protocol):
    """Where calls to one model wait, across all processes."""

    def seconds_closed(self) -> float:
        """Seconds for which no calls should be made."""
        ...

    async def passed(self) -> None:
        """Wait until calls may go on."""
        ...

    async def answered(self) -> None:
        """An answer came."""
        ...

    async def refused(self, failure: ModelError) -> None:
        """The provider asked us to slow down: close the gate for everyone."""
        ...

    def failed(self, failure: ModelError) -> None:
        """An attempt failed and will be retried."""
        ...


class Call:
    """One call to a model. With a `gate`, a provider that asks us to slow down pauses everyone's calls, as often as
    it asks. `hint` says what to do about a failure."""

    def __init__(
        self, name: str, policy: RetryPolicy, gate: Gate | None, hint: Callable[[Failure], str | None]
    ) -> None:
        self._name = name
        self._policy = policy
        self._gate = gate
        self._hint = hint
        self._started = time.monotonic()
        self._deadline = self._started + policy.deadline
        self._failures = 0
        self.requests = 0
        self.lost = 0

    async def begin(self, body: Json) -> float:
        """Begin an attempt once the gate is open; return the seconds that it may take.

        Raises:
            ModelError: the gate stays closed for too long to wait.
        """
        if self._gate and (closed := self._gate.seconds_closed()) > 0:
            if closed > min(_PATIENCE, self._left()):
                raise self._error(body, Failure("rate_limit", f"asks us to wait {closed:.0f} s"))
            await self._gate.passed()
        self.requests += 1
        return max(0, min(self._policy.timeout, self._left()))

    async def answered(self) -> None:
        """An attempt was answered."""
        if self._gate:
            await self._gate.answered()

    async def wait_after(self, body: Json, failure: Failure) -> None:
        """Wait before the next attempt.

        Raises:
            ModelError: there is none: nothing would change, or attempts or time ran out.
        """
        self.lost += failure.may_be_billed
        if failure.kind == "rate_limit" and self._gate:
            await self._gate.refused(self._error(body, failure))
            return
        self._failures += 1
        delay = self._policy.delay(self._failures) if failure.retry_after is None else failure.retry_after
        is_last = failure.kind in _FINAL or self._failures >= self._policy.attempts
        if is_last or delay >= self._left():
            raise self._error(body, failure)
        if self._gate:
            self._gate.failed(self._error(body, failure))
        await anyio.sleep(delay)

    def milliseconds(self) -> int:
        """Seconds that it has taken so far, including all waits."""
        return round((time.monotonic() - self._started) * 1000)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _error(self, body: Json, failure: Failure) -> ModelError:
        tries = f" ({self.requests} attempts)" if self.requests > 1 else ""
        return ModelError(
            f"{self._name} {failure.reason}{tries}",
            kind=failure.kind,
            hint=self._hint(failure) or _HINTS.get(failure.kind),
            status_code=failure.status,
            retry_after=failure.retry_after,
            attempts=self.requests,
            lost=self.lost,
            sent=body,
            received=failure.received,
        )


_PATIENCE = 10.0
"""Longest wait, in seconds, that a provider may ask of a call; it counts towards the conversation's time."""

_FINAL: set[FailureKind] = {"auth", "quota", "refused"}

_HINTS: dict[FailureKind, str] = {
    "rate_limit": "Try again later, or lower AGENT_EVAL_MAX_CONCURRENCY.",
    "quota": "The provider's account has no credit left: check its plan and billing.",
    "overloaded": "The provider is failing: try again later.",
    "timeout": "If the model is slow, raise AGENT_EVAL_MODEL_TIMEOUT or AGENT_EVAL_MODEL_DEADLINE.",
    "unreachable": "Check the base URL, and that a server answers there.",
    "malformed": "Check that the base URL is the API's, and that the server speaks this protocol.",
}
