"""The journal of one run: every model call is written down, with what followed from it, before anything is done.

A run that is taken over after a crash starts its conversation again from the first line. As long as there are
recorded answers they are given back instead of asking a model, so nothing is paid for twice, and the rows that
come out are the rows that are there already.

A database that is in trouble is waited for: an answer that was paid for is not thrown away because a disk is full.
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
"""Seconds between two tries to store something."""


class LeaseLost(EvalError):
    """Another worker owns the run by now: nothing that happens here may be written any more."""

    code = "LEASE_LOST"


class ModelAway(EvalError):
    """A model does not answer for now: the run is to go on later."""

    code = "MODEL_AWAY"


class Leaving(EvalError):
    """The worker is being closed, and what was under way is stored: another one goes on from here."""

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
        """Whether recorded answers are left: all that comes of them is stored already."""
        return not self._memory.is_empty

    def before_calls(self, do: Callable[[], None]) -> None:
        """Have something done once, before a model is asked for the first time from now on."""
        self._on_call = do

    def recall_conversation(self, spoken: int) -> None:
        """Count what a conversation has cost that was over before: what was recorded but for the verdicts."""
        self._memory.pass_over_conversation()
        self._spoken = spoken

    async def refuse_to_wait(self) -> None:
        """When time is over: say so if it was not the model that took it, but its being away.

        Raises:
            ModelAway: the model that is being asked fails again and again, or asked for patience.
        """
        if self._asking and (reason := await self._patience.away(self._asking)):
            raise ModelAway(reason)

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        """The model's answer, or the recorded one. A call that failed is recorded as well.

        Raises:
            ModelError: the call failed for good.
            ModelAway: it failed, and may succeed later.
            BudgetExceeded, NotConfigured: as `Budget.reserve` says.
            LeaseLost, Leaving: as `commit`.
        """
        if self._pending:
            await self.commit((), self._spoken)
        recorded = self._memory.take(request.purpose)
        self.recalled = recorded is not None
        return recorded or await self._pay(model, request)

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        """Store turns with the calls behind them. True when somebody asked to cancel.

        Raises:
            LeaseLost: another worker has the run.
            Leaving: it is stored, and the worker is being closed.
            StoreError: the database was in trouble until the run's deadline.
        """
        self._spoken = spoken
        if self.is_replaying:
            # Stored already, and with larger totals; the last of them perhaps not.
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
            raise Leaving("The worker is being closed.")
        return outcome.cancel_requested

    async def keep_ending(self, reason: TerminationReason, detail: str | None, error: str | None) -> None:
        """Store how the conversation ended, before verdicts are asked for: whoever takes the run over must not let it
        go on.

        Raises:
            LeaseLost, StoreError: as `commit`.
        """

        def work(connection: Connection) -> bool:
            kept = self._record(connection, self._pending, ())
            return kept.owned and queue.keep_ending(
                connection, self._claim, reason, detail, error, self._totals()
            )

        await self._end_with(work)

    async def finish(self, outcome: queue.Outcome) -> None:
        """Store the outcome with the last calls and costs, in one transaction: the run is final with it.

        Raises:
            LeaseLost: another worker has the run.
        """

        def work(connection: Connection) -> bool:
            kept = self._record(connection, self._pending, ())
            return kept.owned and queue.finish(connection, self._claim, outcome, self._totals())

        await self._end_with(work)

    async def postpone(self, reason: str) -> None:
        """Store the last calls, and give the run back to the queue until its models can be reached.

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
        """As soon as the database takes it. Rows that are there stay, so that it does no harm to try again."""
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
        # First, so that an answer that was paid for is kept when the run is stopped in the next line.
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
    """The turns, of which the first that a model spoke bears what the calls behind it cost, in cents rounded up."""
    nano = sum(call.cost_nano_usd or 0 for call in calls)
    if not (turns and nano):
        return turns
    bearer = next((turn for turn in turns if turn.model), turns[0])
    cost = {"cost_cents": -(-nano // NANO_PER_CENT)}
    return [turn.model_copy(update=cost) if turn is bearer else turn for turn in turns]
