"""From an order to a result: evals loaded, consent checked, the suite carried out, and what is left of it cancelled."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import anyio
import click

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.cli.ci.interruption import interruptible
from mcp_agent_eval.cli.ci.lines import say
from mcp_agent_eval.cli.ci.progress import progress
from mcp_agent_eval.errors import ConsentNeeded, EvalError, InvalidInput
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
    """Why the suite was left before its end, and by which signal if it was one."""

    reason: str
    signal: signal.Signals | None = None


async def evaluate(order: Order) -> tuple[SuiteResult, Stop | None]:
    """What the suite came to, and why it was cut short, if it was.

    Raises:
        EvalError: nothing was started, or what was cannot be followed any more; it is cancelled as far as possible.
    """
    overrides = read_overrides(order.overrides)
    async with connect(Settings.read()) as link:
        suite = await _prepare(link.backend, order, overrides)
        size = (await link.backend.list("case", limit=1, suite_id=suite.id)).total
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


async def _prepare(backend: Backend, order: Order, overrides: Json) -> Noun:
    """The suite, once everything is there that it needs, and nothing would act that should not."""
    if order.files:
        await _load(backend, read_files(order.files, stdin=sys.stdin.buffer.read))
    suite = await backend.get("suite", await backend.find("suite", order.suite))
    if not order.allow_real_tools:
        await _refuse_real_tools(backend, suite.id, overrides)
    return suite


async def _load(backend: Backend, pack: Pack) -> None:
    try:
        loaded = await load(backend, pack)
    except LoadFailed as exc:
        for problem in exc.problems:
            click.echo(str(problem), err=True)
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
    over, cancelled = False, 0
    try:
        async with interruptible(caught):
            with anyio.move_on_after(timeout):
                await execution.carry_out()
                over = True
    finally:
        if not over:
            cancelled = await _cancel(execution, _AFTER_A_SIGNAL if caught else _AFTER_THE_TIMEOUT)
    if over:
        return None
    why = f"by {caught[0].name}" if caught else f"after the {timeout:g} seconds of --timeout"
    return Stop(f"Stopped {why}; runs that were not over and were cancelled: {cancelled}.", *caught[:1])


async def _cancel(execution: SuiteExecution, patience: float) -> int:
    """Cancel what is left and give it time to end. What cannot be reached cannot be cancelled, and the error that
    led here says why."""
    cancelled = 0
    with anyio.move_on_after(patience, shield=True), suppress(EvalError):
        cancelled = await execution.cancel()
        say(f"Stopping: {cancelled} runs are cancelled, and end at their next turn.")
        await execution.settle()
    return cancelled
