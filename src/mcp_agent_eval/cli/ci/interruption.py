"""Handles Ctrl-C and the signal that cancels a build, so that work ends in an orderly way."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskStatus

from mcp_agent_eval.background import background_tasks, stop_signals

SIGNALLED = 128
"""Exit codes above this say which signal ended a process."""


@asynccontextmanager
async def interruptible(caught: list[signal.Signals]) -> AsyncGenerator[None]:
    """Leaves the block when a signal asks this process to end; `caught` then holds the signal. A second one ends it
    at once."""
    with anyio.CancelScope() as scope:
        async with background_tasks() as tasks:
            await tasks.start(_listen, caught, scope)
            yield


async def _listen(
    caught: list[signal.Signals], scope: anyio.CancelScope, *, task_status: TaskStatus[None]
) -> None:
    with stop_signals() as signals:
        task_status.started()
        async for number in signals:
            caught.append(number)
            scope.cancel()
            return
