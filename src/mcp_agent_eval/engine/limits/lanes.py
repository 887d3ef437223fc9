"""The lanes to the models: when a provider asks us to slow down, every process does.

A lane is a model at an address. Its state is in the database; each process keeps a copy, which the worker refreshes
whenever it looks for runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from mcp_agent_eval.engine.store import lanes
from mcp_agent_eval.engine.store.database import Connection, Database, Work
from mcp_agent_eval.engine.store.lanes import LaneState
from mcp_agent_eval.errors import FailureKind, ModelError
from mcp_agent_eval.types import now

AWAY: frozenset[FailureKind] = frozenset({"rate_limit", "overloaded", "timeout", "unreachable"})
"""Kinds of failure that a provider may recover from in a while."""

_SHORTEST_PAUSE = 0.02
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = lanes.LONGEST_PAUSE.total_seconds()
_NEARLY = timedelta(seconds=1)
"""Fifty calls refused at the same time ask for the same pause: it is stored once."""

_REMEMBERED = timedelta(hours=1)
"""While all is well, the time of a lane's last answer is stored at most this often."""


class Lane:
    """One lane, acting as the gate of its model."""

    def __init__(self, lanes: Lanes, name: str) -> None:
        self._lanes = lanes
        self._name = name

    def seconds_closed(self) -> float:
        """See `Lanes.seconds_closed`."""
        return self._lanes.seconds_closed(self._name)

    async def passed(self) -> None:
        """See `Lanes.passed`."""
        await self._lanes.passed(self._name)

    async def answered(self) -> None:
        """See `Lanes.answered`."""
        await self._lanes.answered(self._name)

    async def refused(self, failure: ModelError) -> None:
        """See `Lanes.refused`."""
        await self._lanes.refused(self._name, failure)

    def failed(self, failure: ModelError) -> None:
        """See `Lanes.failed`."""
        self._lanes.failed(self._name, failure)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one run waits for absent models: until its deadline."""

    lanes: Lanes
    lane: Callable[[str], str]
    deadline: datetime

    async def lasts(self, model: str, failure: ModelError) -> bool:
        """Whether the run should go on later. A model that has never answered is treated as a mistake, not an
        outage."""
        name = self.lane(model)
        if failure.kind not in AWAY or now() >= self.deadline or not self.lanes.has_answered(name):
            return False
        if not self.lanes.seconds_closed(name):
            await self.lanes.refused(name, failure)
        return True

    async def away(self, model: str) -> str | None:
        """Why a model that is being called does not answer, if that is known and the run should go on later."""
        name = self.lane(model)
        failure = self.lanes.failure(name)
        if failure and await self.lasts(model, failure):
            return failure.message
        return None


class Lanes:
    """Every lane that this process knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._states: dict[str, LaneState] = {}
        self._failures: dict[str, ModelError] = {}
        self._ahead = timedelta()
        self._told = 0
        self._telling = 0
        self._turned = anyio.Event()

    def gate(self, name: str) -> Lane:
        """The gate of one lane."""
        return Lane(self, name)

    async def refresh(self) -> None:
        """Take over the database's state, which uses its own clock, except where a newer change is not stored yet."""
        told = self._told
        states, at = await self._database.read(_all)
        self._ahead = at - now()
        if not self._telling and told == self._told:
            self._states = states
        self._turned.set()
        self._turned = anyio.Event()

    def are_recovering(self) -> bool:
        """Whether a pause is over and no answer has come since: then runs may be claimed although nothing has
        changed."""
        return any(state.pauses and not state.is_paused(self._now()) for state in self._states.values())

    def has_answered(self, name: str) -> bool:
        """Whether this lane ever gave an answer: then the address and the key are right."""
        return self._state(name).answered_at is not None

    def seconds_closed(self, name: str) -> float:
        """Seconds for which it is still paused."""
        state, at = self._state(name), self._now()
        return (
            (state.paused_until - at).total_seconds() if state.paused_until and state.is_paused(at) else 0.0
        )

    async def passed(self, name: str) -> None:
        """Wait while the lane is paused, plus a little extra: calls that waited together should spread out."""
        while (closed := self.seconds_closed(name)) > 0:
            with anyio.move_on_after(closed * random.uniform(1, 1.2)):
                await self._turned.wait()

    async def answered(self, name: str) -> None:
        """An answer came: the lane is open for everyone. An answer requested before a pause does not end the pause."""
        self._failures.pop(name, None)
        state, at = self._state(name), self._now()
        if state.is_paused(at):
            self._states[name] = state._replace(answered_at=at)
        elif state.pauses or state.answered_at is None or at - state.answered_at > _REMEMBERED:
            self._states[name] = LaneState(name, answered_at=at)
            await self._tell(lambda connection: lanes.answered(connection, name, at))

    def failed(self, name: str, failure: ModelError) -> None:
        """An attempt failed and will be retried."""
        if failure.kind in AWAY:
            self._failures[name] = failure

    def failure(self, name: str) -> ModelError | None:
        """Why calls currently wait or are retried, if they do."""
        if self.seconds_closed(name):
            return ModelError(self._state(name).reason or "", kind="rate_limit")
        return self._failures.get(name)

    async def refused(self, name: str, failure: ModelError) -> None:
        """The provider asked us to slow down or is away: pause the lane for everyone."""
        at = self._now()
        state = self._state(name)
        until = at + timedelta(seconds=_pause(state, failure, at))
        if state.paused_until and state.is_paused(at) and until < state.paused_until + _NEARLY:
            return
        self._states[name] = state._replace(
            paused_until=max(until, state.paused_until or until),
            pauses=state.pauses + (not state.is_paused(at)),
            reason=failure.message,
        )
        await self._tell(
            lambda connection: lanes.pause(connection, name, now=at, until=until, reason=failure.message)
        )

    async def _tell(self, work: Work[None]) -> None:
        """Store a lane's change. Anything read before that is older than what this process knows."""
        self._telling += 1
        try:
            await self._database.write(work)
        finally:
            self._telling -= 1
            self._told += 1

    def _now(self) -> datetime:
        return now() + self._ahead

    def _state(self, name: str) -> LaneState:
        return self._states.get(name, LaneState(name))


def _all(connection: Connection) -> tuple[dict[str, LaneState], datetime]:
    return lanes.all(connection), connection.now()


def _pause(state: LaneState, failure: ModelError, at: datetime) -> float:
    """Seconds to pause: what the provider asks for, or else twice as long each time. A provider that repeatedly
    asks for no time at all is given some."""
    longer = 2 ** min(state.pauses - state.is_paused(at), 10)
    if failure.retry_after is not None:
        return min(max(failure.retry_after, _SHORTEST_PAUSE * longer), _LONGEST_PAUSE)
    return min(_FIRST_PAUSE * longer, _LONGEST_PAUSE)
