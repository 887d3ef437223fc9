"""Tasks that go on beside a block and end with it, and the signals that ask a process to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def background_tasks() -> AsyncGenerator[TaskGroup]:
    """A task group that is cancelled when the block is left. What the block raises comes out as it is, and not as a
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
    """Signals by which this process is asked to end, in the place of what they do otherwise. Windows has none for an
    event loop: there, Ctrl-C cancels what is under way."""
    if sys.platform == "win32":
        return nullcontext(_never())
    return anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM)


async def _never() -> AsyncGenerator[signal.Signals]:
    await anyio.sleep_forever()
    yield signal.SIGINT
