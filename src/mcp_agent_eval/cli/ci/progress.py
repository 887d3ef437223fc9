"""Shows a suite's progress on standard error: a bar on a terminal, elsewhere a line for each run that has ended."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import click
from anyio import current_time

from mcp_agent_eval.cli.ci.lines import run_line, say
from mcp_agent_eval.cli.streams import has_no_cursor
from mcp_agent_eval.lab.reports.texts import one_line
from mcp_agent_eval.lab.suite_execution import Watcher
from mcp_agent_eval.types import Run, SuiteRun

_LABEL = 40
_SILENCE = 60.0
"""Seconds after which a build would seem to hang; some CI systems then kill it."""


@contextmanager
def progress(runs: int, suite: str) -> Generator[Watcher]:
    """The progress display for that many runs."""
    if not _is_terminal():
        yield Lines()
        return
    with click.progressbar(length=runs, label=one_line(suite, _LABEL), file=sys.stderr, show_pos=True) as bar:
        bar.render_progress()
        yield _Bar(bar)


def _is_terminal() -> bool:
    """Whether there is a terminal on which a line can be rewritten."""
    return bool(sys.stderr) and sys.stderr.isatty() and not has_no_cursor()


class Lines:
    """A line for each run, and one a minute while none ends."""

    def __init__(self) -> None:
        self._spoke = current_time()

    def ended(self, run: Run) -> None:
        """See `Watcher.ended`."""
        self._say(run_line(run))

    def going(self, suite_run: SuiteRun) -> None:
        """See `Watcher.going`."""
        if current_time() - self._spoke >= _SILENCE:
            over = suite_run.total_runs - suite_run.in_flight
            spent = f"${suite_run.cost_usd:.4f} so far"
            self._say(f"In progress: {over} of {suite_run.total_runs} runs are over, {spent}.")

    def _say(self, line: str) -> None:
        self._spoke = current_time()
        say(line)


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def ended(self, run: Run) -> None:
        with suppress(OSError):
            self._bar.update(1)

    def going(self, suite_run: SuiteRun) -> None:
        """Nothing to do: a bar that stands still says enough."""
