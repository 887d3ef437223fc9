"""How often one call asks a model, how long it waits in between, and what the caller is told in the end.

Whatever carries requests to a provider makes its attempts within a `Call`, which knows nothing of what is sent.
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
        """Twice as long each time, and never quite the same: calls that failed together should part."""
        return min(self.longest_delay, self.base_delay * 2 ** (failures - 1)) * random.uniform(0.5, 1)


class Gate(Protocol):
    """Where calls to one model wait for each other, in whichever processes they are made."""

    def seconds_closed(self) -> float:
        """For how long nobody should call."""
        ...

    async def passed(self) -> None:
        """Wait until calls may go on."""
        ...

    async def answered(self) -> None:
        """An answer came."""
        ...

    async def refused(self, failure: ModelError) -> None:
        """The provider asked for patience: close the gate for everybody."""
        ...

    def failed(self, failure: ModelError) -> None:
        """An attempt failed that is to be made again."""
        ...


class Call:
    """One call to a model. With a `gate`, a provider that asks for patience has it from everybody, and as often as
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
        """Begin an attempt, once the gate is passed: the seconds that it may take.

        Raises:
            ModelError: the gate is closed for so long that who waits has better things to do.
        """
        if self._gate and (closed := self._gate.seconds_closed()) > 0:
            if closed > min(_PATIENCE, self._left()):
                raise self._error(body, Failure("rate_limit", f"asks for {closed:.0f} s of patience"))
            await self._gate.passed()
        self.requests += 1
        return max(0, min(self._policy.timeout, self._left()))

    async def answered(self) -> None:
        """An attempt was answered."""
        if self._gate:
            await self._gate.answered()

    async def wait_after(self, body: Json, failure: Failure) -> None:
        """Wait until it may be tried again.

        Raises:
            ModelError: it may not: nothing would change, or the attempts or the time are used up.
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
        """How long it has taken so far, with all waits."""
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
"""Seconds that a call waits for a provider that asked for it; they count as time of its conversation."""

_FINAL: set[FailureKind] = {"auth", "quota", "refused"}

_HINTS: dict[FailureKind, str] = {
    "rate_limit": "Try again later, or lower AGENT_EVAL_MAX_CONCURRENCY.",
    "quota": "The provider's account has no credit left: see its plan and billing.",
    "overloaded": "The provider is in trouble: try again later.",
    "timeout": "A slow model needs a higher AGENT_EVAL_MODEL_TIMEOUT or AGENT_EVAL_MODEL_DEADLINE.",
    "unreachable": "Check the base URL, and that a server answers there.",
    "malformed": "Check that the base URL is that of the API, and that the server speaks this protocol.",
}
