"""The journal of one run: every model call is stored, with what followed from it, before it is acted on.

A run that is taken over after a crash starts its conversation again from the first line. While there are recorded
answers, these are returned instead of asking a model, so nothing is paid for twice, and the resulting rows are the
ones already stored.

If the database is in trouble, the journal waits: an answer that was paid for is not lost because a disk is full.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from mcp_agent_eval.engine.limits.billing import NANO_PER_CENT, Prices
from mcp_agent_eval.engine.limits.budget import Budget
from mcp_agent_eval.engine.limits.lanes import Patience
from mcp_agent_eval.engine.llm.messages import (
    Model,
    ModelReply,
    ModelRequest,
    reply_as_json,
)
from mcp_agent_eval.engine.running.memory import Accounts, Memory
from mcp_agent_eval.engine.store import journal as store
from mcp_agent_eval.engine.store import queue
from mcp_agent_eval.engine.store.database import Connection, Database, Work
from mcp_agent_eval.engine.tracing.calls import completed
from mcp_agent_eval.errors import EvalError, ModelError, StoreError, StoreTooNew
from mcp_agent_eval.types import TerminationReason, Turn, now

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two attempts to store something."""


class LeaseLost(EvalError):
    """Another worker owns the run now: this one must not write anything more."""

    code = "LEASE_LOST"


class ModelAway(EvalError):
    """A model does not answer at the moment: the run will go on later."""

    code = "MODEL_AWAY"


class Leaving(EvalError):
    """The worker is closing, and work in progress is stored: another worker continues from here."""

    code = "LEAVING"


class RunJournal:
    """Asks models on behalf of one claimed run, and stores what they answered."""

    def __init__(
        self,
        claim: queue.Claim,
        database: Database,
        prices: Prices,
        *,
        budget: Budget,
        patience: Patience,
        earlier: store.Replies | None,
        changed: Callable[[], None],
        is_leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._claim = claim
        self._database = database
        self._prices = prices
        self._budget = budget
        self._patience = patience
        self._changed = changed
        self._is_leaving = is_leaving
        self._accounts = Accounts()
        self._memory = Memory(earlier.replies if earlier else (), self._accounts)
        self._requests = earlier.requests if earlier else store.Requests()
        self._next = len(earlier.replies) if earlier else 0
        self._pending: list[store.NewCall] = []
        self._held: list[Turn] = []
        self._spoken = 0
        self._asking: str | None = None
        self._on_call: Callable[[], None] | None = None
        self.recalled = False

    @property
    def is_replaying(self) -> bool:
        """Whether recorded answers are left: everything that follows from them is already stored."""
        return not self._memory.is_empty

    def before_calls(self, do: Callable[[], None]) -> None:
        """Register a callback that runs once, before a model is next asked."""
        self._on_call = do

    def recall_conversation(self, spoken: int) -> None:
        """Count the cost of a conversation that had already ended: everything recorded except the verdicts."""
        self._memory.pass_over_conversation()
        self._spoken = spoken

    async def refuse_to_wait(self) -> None:
        """Called when time has run out: raise if the model's absence used it up, not the conversation.

        Raises:
            ModelAway: the model that is being asked keeps failing, or asked us to slow down.
        """
        if self._asking and (reason := await self._patience.away(self._asking)):
            raise ModelAway(reason)

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        """The model's answer, or the recorded one. Failed calls are recorded as well.

        Raises:
            ModelError: the call failed for good.
            ModelAway: it failed, and may succeed later.
            BudgetExceeded, NotConfigured: as in `Budget.reserve`.
            LeaseLost, Leaving: as in `commit`.
        """
        if self._pending:
            await self.commit((), self._spoken)
        recorded = self._memory.take(request.purpose)
        self.recalled = recorded is not None
        return recorded or await self._pay(model, request)

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        """Store turns with the calls behind them. True when a cancel was requested.

        Raises:
            LeaseLost: another worker has the run.
            Leaving: it is stored, and the worker is closing.
            StoreError: the database was in trouble until the run's deadline.
        """
        self._spoken = spoken
        if self.is_replaying:
            # Already stored, with larger totals; only the last ones may not be.
            self._held += turns
            return False
        calls, self._pending = self._pending, []
        priced = [*self._held, *_priced(turns, calls)]
        outcome = await self._write(lambda connection: self._record(connection, calls, priced))
        if not outcome.owned:
            raise LeaseLost("The run was taken over by another worker.")
        self._held.clear()
        self._requests = outcome.requests
        self._changed()
        if self._is_leaving():
            raise Leaving("The worker is closing.")
        return outcome.cancel_requested

    async def keep_ending(self, reason: TerminationReason, detail: str | None, error: str | None) -> None:
        """Store how the conversation ended before asking for verdicts: a worker that takes the run over must not
        continue it.

        Raises:
            LeaseLost, StoreError: as in `commit`.
        """

        def work(connection: Connection) -> bool:
            kept = self._record(connection, self._pending, ())
            return kept.owned and queue.keep_ending(
                connection, self._claim, reason, detail, error, self._totals()
            )

        await self._end_with(work)

    async def finish(self, outcome: queue.Outcome) -> None:
        """Store the outcome with the last calls and costs in one transaction, which makes the run final.

        Raises:
            LeaseLost: another worker has the run.
        """

        def work(connection: Connection) -> bool:
            kept = self._record(connection, self._pending, ())
            return kept.owned and queue.finish(connection, self._claim, outcome, self._totals())

        await self._end_with(work)

    async def postpone(self, reason: str) -> None:
        """Store the last calls, and return the run to the queue until its models can be reached.

        Raises:
            LeaseLost: another worker has the run.
        """

        def work(connection: Connection) -> bool:
            kept = self._record(connection, self._pending, ())
            return kept.owned and queue.postpone(connection, self._claim, self._totals(), reason)

        await self._end_with(work)

    async def _end_with(self, work: Work[bool]) -> None:
        if not await self._write(work):
            raise LeaseLost("The run was taken over by another worker.")
        self._changed()

    async def _write(self, work: Work[T]) -> T:
        """Write as soon as the database accepts it. Existing rows stay, so retrying does no harm."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._database.write_own(work)
            except StoreTooNew:
                raise
            except StoreError as exc:
                if now() >= self._patience.deadline:
                    raise
                logger.warning("run %s waits to be stored: %s", self._claim.run_id, exc.message)
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _record(
        self, connection: Connection, calls: Sequence[store.NewCall], turns: Sequence[Turn]
    ) -> store.Recorded:
        return store.record(
            connection,
            self._claim,
            calls=calls,
            turns=turns,
            totals=self._totals(),
            requests=self._requests,
        )

    async def _pay(self, model: Model, request: ModelRequest) -> ModelReply:
        self._asking = model.name
        if self._on_call:
            self._on_call()
            self._on_call = None
        request = self._budget.bounded(request)
        reservation = await self._budget.reserve(model.name, request, self._accounts.nano)
        try:
            reply = await completed(model, request)
        except ModelError as exc:
            self._asking = None
            self._pending.append(self._failed(model, request, exc))
            await self._budget.settle(reservation, 0, exc.lost)
            if await self._patience.lasts(model.name, exc):
                raise ModelAway(exc.message) from exc
            raise
        self._asking = None
        nano = self._prices.nano(model.name, reply.usage)
        # First, so that a paid answer is kept even if the run is stopped on the next line.
        self._accounts.add(request.purpose, model.name, reply.usage, nano)
        self._pending.append(self._answered(model, request, reply, nano))
        await self._budget.settle(reservation, nano or 0, reply.lost)
        return reply

    def _answered(
        self, model: Model, request: ModelRequest, reply: ModelReply, nano: int | None
    ) -> store.NewCall:
        return store.NewCall(
            seq=self._number(),
            role=request.purpose,
            model=model.name,
            request=reply.sent,
            response=reply.received,
            reply=reply_as_json(reply),
            input_tokens=reply.usage.input,
            output_tokens=reply.usage.output,
            cost_nano_usd=nano,
            latency_ms=reply.latency_ms,
            attempts=reply.attempts,
            dropped=reply.dropped,
        )

    def _failed(self, model: Model, request: ModelRequest, exc: ModelError) -> store.NewCall:
        return store.NewCall(
            seq=self._number(),
            role=request.purpose,
            model=model.name,
            request=exc.sent or {},
            response={"body": exc.received},
            cost_nano_usd=0,
            attempts=exc.attempts,
            error=exc.message,
        )

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _totals(self) -> queue.Totals:
        return self._accounts.totals(self._spoken)


def _priced(turns: Sequence[Turn], calls: Sequence[store.NewCall]) -> Sequence[Turn]:
    """The turns. The first one spoken by a model carries the cost of the calls behind it, in cents, rounded up."""
    nano = sum(call.cost_nano_usd or 0 for call in calls)
    if not (turns and nano):
        return turns
    bearer = next((turn for turn in turns if turn.model), turns[0])
    cost = {"cost_cents": -(-nano // NANO_PER_CENT)}
    return [turn.model_copy(update=cost) if turn is bearer else turn for turn in turns]
