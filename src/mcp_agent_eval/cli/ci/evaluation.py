"""From an order to a result: evals loaded, consent checked, the suite carried out, and what is left of it cancelled."""

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
"""Seconds for runs to end in: builds are killed a few seconds after they were cancelled."""

_AFTER_THE_TIMEOUT = 60.0
_SHOWN = 10
_LOAD_FIRST = "--load PATH loads evals from files first."
_ADD_CASES = "Give cases `suite:` with its name in a file of evals, and load that with --load PATH."
_NO_WORKER = (
    "This process carries out no runs, since AGENT_EVAL_MAX_CONCURRENCY is 0: `mcp-agent-eval worker` has to be "
    "running on the same database."
)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. `timeout` is in seconds."""

    suite: str
    fail_under: float
    repeats: int
    overrides: tuple[str, ...]
    files: tuple[str, ...]
    timeout: float | None
    allow_real_tools: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the suite was left before its end, and by which signal if it was one. What has ended until then counts."""

    reason: str
    signal: signal.Signals | None = None


async def evaluate(order: Order) -> tuple[SuiteResult, Stop | None]:
    """What the suite came to, and why it was cut short, if it was.

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
    """The suite and how many cases it has, once everything is there that it needs, and nothing would act that should
    not."""
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
        raise InvalidInput("The evals could not be loaded, so that nothing was run.") from None
    for line in loaded.in_words():
        say(line)


async def _refuse_real_tools(backend: Backend, suite_id: str, overrides: Json) -> None:
    if acting := await acting_in_suite(backend, suite_id, overrides):
        raise ConsentNeeded(
            f"Not started: {', '.join(acting)} would act for real.",
            hint="Allow it with --allow-real-tools, or set tool_policy of the cases to 'mock'.",
        )


async def _carry_out(execution: SuiteExecution, timeout: float | None) -> Stop | None:
    """All repeats. What is left when they are cut short is cancelled: nobody would look at what it costs."""
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
        why = f"since it could not be followed any more ({exc.message.rstrip('.')})"
    finally:
        if why:
            rest = await _cancel(execution, _AFTER_A_SIGNAL if caught else _AFTER_THE_TIMEOUT)
    if not why:
        return None
    why = f"by {caught[0].name}" if caught else why
    return Stop(f"Stopped {why}; {rest}.", *caught[:1])


async def _cancel(execution: SuiteExecution, patience: float) -> str:
    """Cancel what is left and give it time to end; what became of it, in words. What cannot be reached cannot be
    cancelled, and the error that led here says why."""
    rest = "runs that were not over could not be cancelled, and may go on"
    with anyio.move_on_after(patience, shield=True), suppress(EvalError):
        cancelled = await execution.cancel()
        rest = f"runs that were not over and were cancelled: {cancelled}"
        if cancelled:
            runs = "1 run is" if cancelled == 1 else f"{cancelled} runs are"
            say(f"Stopping: {runs} cancelled; what is under way ends at the next turn.")
        await execution.settle()
    return rest
