"""Executes one claimed run, from its snapshot to its outcome. A run's outcome is decided only here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from mcp_agent_eval.engine.conversation.conversation import Conversation, Earlier, Ending
from mcp_agent_eval.engine.limits.budget import Budget
from mcp_agent_eval.engine.limits.lanes import Patience
from mcp_agent_eval.engine.llm.names import OFFLINE
from mcp_agent_eval.engine.records.snapshot import Snapshot
from mcp_agent_eval.engine.running.journal import LeaseLost, Leaving, ModelAway, RunJournal
from mcp_agent_eval.engine.running.stage import set_stage
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.scoring.evaluation import Scored, evaluate
from mcp_agent_eval.engine.scoring.judge import Judge
from mcp_agent_eval.engine.store import queue, runs
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.journal import Replies, replies, turns
from mcp_agent_eval.engine.store.queue import Claim, Outcome
from mcp_agent_eval.engine.tracing.runs import run_span, tell_outcome, tell_unsettled
from mcp_agent_eval.errors import BudgetExceeded, EvalError, StoreError
from mcp_agent_eval.types import AgentDraft, Run, RunStatus, Turn, now

logger = logging.getLogger(__name__)

_LONGEST = 3600.0

_ALL = 1_000_000

_NOT_OF_THE_RUN = (LeaseLost, Leaving, ModelAway, BudgetExceeded, StoreError)
"""Exceptions that interrupt a run and say nothing about the conversation."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a conversation ended, and what went wrong, if anything."""

    ending: Ending
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is needed to execute a run. From earlier attempts: what they paid for, the rows that they stored, and
    how the conversation ended, if it did."""

    run: Run
    snapshot: Snapshot
    agent: AgentDraft
    earlier: Replies | None
    turns: Sequence[Turn]
    ended: _Ended | None


async def execute(workshop: Workshop, claim: Claim) -> None:
    """Execute a claimed run to its end. Nothing is written for a run that another worker took over.

    Raises:
        StoreError: the database failed; the run is left to its lease.
    """
    work = await workshop.database.read(lambda connection: _load(connection, claim))
    if work is None:
        # A worker that stalled between the claim and this point would continue from another worker's state.
        logger.info("run %s was taken over by another worker", claim.run_id)
        return

    def changed() -> None:
        workshop.signals.ring(work.run.id, work.run.suite_run_id)

    journal = _journal(workshop, claim, work, changed)
    with _span(workshop, claim, work):
        try:
            await _carry_on(workshop, work, journal)
        except LeaseLost:
            tell_unsettled("taken_over")
            logger.info("run %s was taken over by another worker", claim.run_id)
        except Leaving:
            tell_unsettled("given_back")


def _span(workshop: Workshop, claim: Claim, work: _Work) -> AbstractContextManager[None]:
    return run_span(
        work.run,
        claim.epoch,
        workshop.origins.of(claim.run_id),
        with_text=workshop.settings.trace_content,
    )


async def _carry_on(workshop: Workshop, work: _Work, journal: RunJournal) -> None:
    """Execute to the end, or until a model is away."""
    try:
        outcome = await _carry_out(workshop, work, journal)
    except ModelAway as exc:
        tell_unsettled("postponed")
        await journal.postpone(exc.message)
    except BudgetExceeded as exc:
        # First, since a suite run whose last run is over must not change any more.
        await _stop_suite_run(workshop, work.run, exc)
        await journal.finish(tell_outcome(_outcome(_broken(exc), None, _started(work))))
    else:
        await journal.finish(tell_outcome(outcome))


async def _stop_suite_run(workshop: Workshop, run: Run, exc: BudgetExceeded) -> None:
    """Stop the suite run: an exhausted budget that ended one run would also end the others."""
    id, at = run.suite_run_id, now()
    if id and exc.scope != "run":
        await workshop.database.write(
            lambda connection: queue.stop_suite_run(connection, id, exc.message, at)
        )


def _journal(workshop: Workshop, claim: Claim, work: _Work, changed: Callable[[], None]) -> RunJournal:
    settings = workshop.settings
    return RunJournal(
        claim,
        workshop.database,
        workshop.prices,
        budget=Budget(settings, workshop.database, workshop.prices, claim, work.run.suite_run_id),
        patience=Patience(
            workshop.lanes, workshop.models.lane, _started(work) + timedelta(seconds=settings.run_deadline)
        ),
        earlier=work.earlier,
        changed=changed,
        is_leaving=workshop.leaving.is_set,
    )


def _started(work: _Work) -> datetime:
    return work.run.started_at or work.run.created_at


async def _carry_out(workshop: Workshop, work: _Work, journal: RunJournal) -> Outcome:
    """Talk, then score. A fault of ours fails this run and no other."""
    started = _started(work)
    try:
        ended, turns = await _conversation(workshop, work, journal)
        scored = await _score(workshop, work, turns, journal, ended)
    except _NOT_OF_THE_RUN:
        raise
    except EvalError as exc:
        return _outcome(_broken(exc), None, started)
    except Exception as exc:
        logger.exception("run %s broke", work.run.id)
        error = f"Internal error ({type(exc).__name__}); the server's log has the details."
        return _outcome(_Ended(Ending("error", "internal_error"), error), None, started)
    return _outcome(ended, scored, started)


async def _conversation(
    workshop: Workshop, work: _Work, journal: RunJournal
) -> tuple[_Ended, Sequence[Turn]]:
    """The conversation and how it ended. One that had ended when its worker was lost is not continued."""
    if work.ended:
        journal.recall_conversation(work.run.spoken_turns or 0)
        return work.ended, work.turns
    conversation = set_stage(workshop, work.run, work.snapshot, work.agent, journal, _earlier(work.turns))
    ended = await _converse(conversation, journal, _seconds_left(workshop, work))
    if work.run.judge_model and ended.ending.reason != "cancelled":
        await journal.keep_ending(ended.ending.reason, ended.ending.detail, ended.error)
    return ended, conversation.turns


def _load(connection: Connection, claim: Claim) -> _Work | None:
    """What is needed to execute the run, or None when another worker has it."""
    if not queue.is_owned(connection, claim):
        return None
    run = runs.get(connection, claim.run_id)
    assert run is not None, "a claimed run cannot vanish: only runs that are over are deleted"
    snapshot = Snapshot.read(runs.snapshot(connection, claim.run_id) or {})
    resumed = claim.epoch > 1
    return _Work(
        run,
        snapshot,
        snapshot.effective_agent(),
        replies(connection, claim.run_id) if resumed else None,
        turns(connection, claim.run_id, limit=_ALL) if resumed else [],
        _Ended(Ending(run.termination_reason, run.end_detail), run.error) if run.termination_reason else None,
    )


def _earlier(stored: Sequence[Turn]) -> Earlier:
    results = [turn for turn in stored if turn.role == "tool_result"]
    return Earlier(len(stored), {turn.turn_number: turn.tool_calls[0] for turn in results if turn.tool_calls})


def _seconds_left(workshop: Workshop, work: _Work) -> float:
    """The remaining time of the conversation. Answers from an earlier attempt count; failures do not, nor do hours
    when a laptop slept or no worker had the run."""
    limit = workshop.settings.run_timeout or work.agent.max_call_duration_secs or _LONGEST
    earlier = work.earlier.replies if work.earlier else []
    taken = [one.call.latency_ms for one in earlier if one.reply and one.call.role != "judge"]
    return max(0.0, limit - sum(taken) / 1000)


async def _converse(conversation: Conversation, journal: RunJournal, seconds: float) -> _Ended:
    """Hold the conversation. A participant that fails for good becomes part of the outcome."""
    try:
        with anyio.CancelScope() as limit:
            _limit(limit, journal, seconds)
            return _Ended(await conversation.run())
        await journal.refuse_to_wait()
        await conversation.break_off()
    except _NOT_OF_THE_RUN:
        raise
    except EvalError as exc:
        return _broken(exc)
    return _Ended(Ending("timeout"))


def _limit(scope: anyio.CancelScope, journal: RunJournal, seconds: float) -> None:
    """Start the clock now, or at the point where the conversation continues."""

    def begin() -> None:
        scope.deadline = anyio.current_time() + seconds

    if journal.is_replaying:
        journal.before_calls(begin)
    else:
        begin()


def _broken(exc: EvalError) -> _Ended:
    return _Ended(Ending("error", exc.code.lower()), f"{exc.message} {exc.hint or ''}".strip())


async def _score(
    workshop: Workshop, work: _Work, turns: Sequence[Turn], journal: RunJournal, ended: _Ended
) -> Scored | None:
    """The evaluation; a cancelled run has none."""
    if ended.ending.reason == "cancelled":
        return None
    case = work.snapshot.case
    # A run without a judge has no assertion that needs one.
    judge = Judge(workshop.models.get(work.run.judge_model or OFFLINE), journal)
    return await evaluate(case.success_criteria, turns, case.pass_threshold, judge)


def _outcome(ended: _Ended, scored: Scored | None, started: datetime) -> Outcome:
    """The run's columns: a run whose conversation or judge broke is `failed` and never passes."""
    error = ended.error
    if scored and scored.failure:
        error = error or f"A judge gave no verdict: {scored.failure.message}"
    evaluation = scored.evaluation if scored else None
    if error and evaluation:
        evaluation = evaluation.model_copy(update={"pass_fail": False})
    ended_at = now()
    return Outcome(
        status=_status(ended, error),
        termination_reason=ended.ending.reason,
        end_detail=ended.ending.detail,
        error=error,
        score=evaluation.score if evaluation else None,
        pass_fail=evaluation.pass_fail if evaluation else None,
        evaluation=evaluation,
        ended_at=ended_at,
        duration_ms=int((ended_at - started).total_seconds() * 1000),
    )


def _status(ended: _Ended, error: str | None) -> RunStatus:
    if error:
        return "failed"
    return "cancelled" if ended.ending.reason == "cancelled" else "completed"
