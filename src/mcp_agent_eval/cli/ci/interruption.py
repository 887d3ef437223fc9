"""Ctrl-C, and the signal by which a build is cancelled: work is left in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskStatus

from mcp_agent_eval.background import background_tasks


@asynccontextmanager
async def interruptible(caught: list[signal.Signals]) -> AsyncGenerator[None]:
    """Leaves the block when somebody wants this process to end; `caught` then holds the signal. A second one ends it
    at once.

    Windows delivers no signals to an event loop: there, Ctrl-C cancels whatever is under way.
    """
    with anyio.CancelScope() as scope:
        async with background_tasks() as tasks:
            if sys.platform != "win32":
                await tasks.start(_listen, caught, scope)
            yield


async def _listen(
    caught: list[signal.Signals], scope: anyio.CancelScope, *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            caught.append(number)
            scope.cancel()
            return
