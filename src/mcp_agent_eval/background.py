"""Tasks that run alongside a block and end with it, and the signals that ask a process to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def background_tasks() -> AsyncGenerator[TaskGroup]:
    """A task group that is cancelled when the block exits. An exception from the block is raised as it is, not as a
    group of one."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as exc:
            failure = exc
        tasks.cancel_scope.cancel()
    if failure:
        raise failure


def stop_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """Receive the signals that ask this process to stop, instead of their default effect. Event loops on Windows
    have none: there, Ctrl-C cancels what is in progress."""
    if sys.platform == "win32":
        return nullcontext(_never())
    return anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM)


async def _never() -> AsyncGenerator[signal.Signals]:
    await anyio.sleep_forever()
    yield signal.SIGINT
