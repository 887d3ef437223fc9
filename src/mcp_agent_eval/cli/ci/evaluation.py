"""Turns an order into a result: loads evals, checks consent, runs the suite, and cancels what is left of it."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import anyio

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.cli.ci.interruption import interruptible
from mcp_agent_eval.cli.ci.lines import say
from mcp_agent_eval.cli.ci.progress import progress
from mcp_agent_eval.errors import ConsentNeeded, EvalError, InvalidInput, NotFound
from mcp_agent_eval.lab.acting import acting_in_suite
from mcp_agent_eval.lab.overrides import read_overrides
from mcp_agent_eval.lab.packs.files import Pack, read_files
from mcp_agent_eval.lab.packs.loading import LoadFailed, load
from mcp_agent_eval.lab.reports.results import SuiteResult
from mcp_agent_eval.lab.suite_execution import SuiteExecution
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.nouns import Noun

_AFTER_A_SIGNAL = 5.0
"""Seconds for runs to end: builds are killed a few seconds after they are cancelled."""

_AFTER_THE_TIMEOUT = 60.0
_SHOWN = 10
_LOAD_FIRST = "--load PATH loads evals from files first."
_ADD_CASES = "In a file of evals, give cases a `suite:` with its name, and load the file with --load PATH."
_NO_WORKER = (
    "This process executes no runs, since AGENT_EVAL_MAX_CONCURRENCY is 0: `mcp-agent-eval worker` has to be "
    "running on the same database."
)


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. `timeout` is in seconds."""

    suite: str
    fail_under: float
    repeats: int
    overrides: tuple[str, ...]
    files: tuple[str, ...]
    timeout: float | None
    allow_real_tools: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the suite was stopped early, and by which signal, if any. Runs that have already ended count."""

    reason: str
    signal: signal.Signals | None = None


async def evaluate(order: Order) -> tuple[SuiteResult, Stop | None]:
    """The suite's result, and why it was cut short, if it was.

    Raises:
        EvalError: nothing was started.
    """
    overrides = read_overrides(order.overrides)
    async with connect(Settings.read()) as link:
        suite, size = await _prepare(link.backend, order, overrides)
        if link.settings.backend == "embedded" and not link.settings.max_concurrency:
            say(_NO_WORKER)
        began = time.monotonic()
        with progress(size * order.repeats, suite.name) as watcher:
            execution = SuiteExecution(link.backend, suite.id, overrides, order.repeats, watcher)
            stop = await _carry_out(execution, order.timeout)
        result = SuiteResult(
            suite_id=suite.id,
            suite=suite.name,
            size=size,
            repeats=order.repeats,
            fail_under=order.fail_under,
            overrides=overrides,
            suite_runs=tuple(await execution.suite_runs()),
            seconds=time.monotonic() - began,
            stopped=stop.reason if stop else None,
        )
        return result, stop


async def _prepare(backend: Backend, order: Order, overrides: Json) -> tuple[Noun, int]:
    """The suite and its number of cases, after checking that it has all it needs and that no tool would act without
    consent."""
    if order.files:
        await _load(backend, read_files(order.files, stdin=sys.stdin.buffer.read))
    suite = await backend.get("suite", await _find(backend, order.suite))
    size = (await backend.list("case", limit=1, suite_id=suite.id)).total
    if not size:
        raise InvalidInput(f"The suite {suite.name!r} has no cases.", hint=_ADD_CASES)
    if not order.allow_real_tools:
        await _refuse_real_tools(backend, suite.id, overrides)
    return suite, size


async def _find(backend: Backend, reference: str) -> str:
    try:
        return await backend.find("suite", reference)
    except NotFound as exc:
        there = await backend.list("suite", limit=_SHOWN)
        names = ", ".join(repr(suite.name) for suite in there.data) or "none"
        more = f" and {there.total - _SHOWN} more" if there.total > _SHOWN else ""
        raise NotFound(exc.message, hint=f"There are: {names}{more}. {_LOAD_FIRST}") from None


async def _load(backend: Backend, pack: Pack) -> None:
    try:
        loaded = await load(backend, pack)
    except LoadFailed as exc:
        for problem in exc.problems:
            say(str(problem))
        raise InvalidInput("The evals could not be loaded, so nothing was run.") from None
    for line in loaded.in_words():
        say(line)


async def _refuse_real_tools(backend: Backend, suite_id: str, overrides: Json) -> None:
    if acting := await acting_in_suite(backend, suite_id, overrides):
        raise ConsentNeeded(
            f"Not started: {', '.join(acting)} would act for real.",
            hint="Allow it with --allow-real-tools, or set tool_policy of the cases to 'mock'.",
        )


async def _carry_out(execution: SuiteExecution, timeout: float | None) -> Stop | None:
    """Run all repeats. If they are cut short, cancel the rest, whose costs would go unnoticed."""
    caught: list[signal.Signals] = []
    why, rest = f"after the {timeout or 0:g} seconds of --timeout", ""
    try:
        async with interruptible(caught):
            with anyio.move_on_after(timeout):
                await execution.carry_out()
                why = ""
    except EvalError as exc:
        if not execution.has_started:
            raise
        why = f"since it could no longer be followed ({exc.message.rstrip('.')})"
    finally:
        if why:
            rest = await _cancel(execution, _AFTER_A_SIGNAL if caught else _AFTER_THE_TIMEOUT)
    if not why:
        return None
    why = f"by {caught[0].name}" if caught else why
    return Stop(f"Stopped {why}; {rest}.", *caught[:1])


async def _cancel(execution: SuiteExecution, patience: float) -> str:
    """Cancel the rest and give it time to end; return the outcome in words. If the backend is unreachable, nothing
    can be cancelled, and the error that led here says why."""
    rest = "unfinished runs could not be cancelled and may go on"
    with anyio.move_on_after(patience, shield=True), suppress(EvalError):
        cancelled = await execution.cancel()
        rest = f"unfinished runs cancelled: {cancelled}"
        if cancelled:
            runs = "1 run is" if cancelled == 1 else f"{cancelled} runs are"
            say(f"Stopping: {runs} cancelled; conversations in progress end at the next turn.")
        await execution.settle()
    return rest
