"""The `worker` command: executes runs that others start on a shared database."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import click

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.backend.embedded import EmbeddedBackend
from mcp_agent_eval.backend.upkeep import refuse_hosted
from mcp_agent_eval.background import background_tasks, stop_signals
from mcp_agent_eval.cli.arguments import a_number
from mcp_agent_eval.cli.ci.lines import run_line, say
from mcp_agent_eval.errors import EvalError, NotConfigured, StoreTooNew
from mcp_agent_eval.settings import Settings

_MOVES_BEHIND = 1000
"""Finished runs to remember, more than ever wait to be reported: a run may move several times after its end."""


@click.command()
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="How many runs at once. Default: AGENT_EVAL_MAX_CONCURRENCY.",
)
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    callback=a_number,
    default=10,
    show_default=True,
    help="How long model calls in progress may take to finish when it is stopped; their answers are kept.",
)
@click.option("-v", "--verbose", is_flag=True, help="Report every run that ends.")
def worker(concurrency: int | None, grace: float, verbose: bool) -> None:
    """Execute runs that servers and scripts start on the same database, until a signal ends it.

    It only takes runs whose models it has a key for. Unfinished runs go back to the queue at the end.
    """
    given = {} if concurrency is None else {"max_concurrency": concurrency}
    settings = Settings.read(grace_seconds=grace, **given)
    refuse_hosted(settings)
    if not settings.max_concurrency:
        raise NotConfigured(
            "AGENT_EVAL_MAX_CONCURRENCY is 0: a worker would not execute any runs.",
            hint="Say how many runs it may execute at once: mcp-agent-eval worker --concurrency 16.",
        )
    if why := anyio.run(_work, settings, verbose):
        raise why


async def _work(settings: Settings, verbose: bool) -> EvalError | None:
    """Why it ended without a signal, if it did."""
    # Some supervisors send a signal twice, so keep listening until everything is given back.
    with stop_signals() as signals:
        async with connect(settings) as link:
            where = (await link.backend.capabilities()).address
            say(f"Working on {where}, up to {settings.max_concurrency} runs at once; Ctrl-C gives them back.")
            async with background_tasks() as tasks:
                if verbose:
                    tasks.start_soon(_tell_of_runs, link.backend)
                received = await _first(signals, link.backend)
        if received is None:
            return StoreTooNew(
                "A newer version of mcp-agent-eval now uses this database; unfinished runs are back in the "
                "queue.",
                hint="Upgrade this worker and restart it.",
            )
        say(f"Stopped by {received.name}; unfinished runs are back in the queue.")
        return None


async def _first(signals: AsyncIterator[signal.Signals], backend: Backend) -> signal.Signals | None:
    """The first signal, or None once no more runs may be executed here."""
    assert isinstance(backend, EmbeddedBackend), "a hosted one was refused"

    async with background_tasks() as tasks:

        async def outdated() -> None:
            await backend.outdated.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(outdated)
        return await anext(signals)
    return None


async def _tell_of_runs(backend: Backend) -> None:
    """Print a line for every run that ends here. A run that cannot be read does not stop the worker."""
    told: deque[str] = deque(maxlen=_MOVES_BEHIND)
    async with backend.moved_runs() as moved:
        async for id in moved:
            with suppress(EvalError):
                if id not in told and (run := await backend.run(id)).is_final:
                    told.append(id)
                    say(run_line(run))
