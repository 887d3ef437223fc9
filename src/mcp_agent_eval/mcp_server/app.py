"""What lives as long as the server: the backend, opened when the first call needs it and closed at the end.

Hosts start a server in every window and most never call it, so the first `tools/list` opens no database and
imports neither the engine nor a model client.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.mcpserver import Context

from mcp_agent_eval.backend.base import Backend

if TYPE_CHECKING:
    from mcp_agent_eval.backend.connect import Connection

Connect = Callable[[], "AbstractAsyncContextManager[Connection]"]
Beside = Callable[[Backend], Awaitable[None]]
T = TypeVar("T")


def connect_by_environment() -> AbstractAsyncContextManager[Connection]:
    """The backend that the environment asks for."""
    # The one import put off: it brings the engine, and a server that is only listed should not wait for it.
    from mcp_agent_eval.backend.connect import connect

    return connect()


class App:
    """The state of one server. `connection()` opens the backend once, whoever asks first; `beside` is what goes
    on as long as it is open."""

    def __init__(self, connect: Connect, beside: Beside) -> None:
        self._connect = connect
        self._beside = beside
        self._lock = anyio.Lock()
        self._connection: Connection | None = None
        self._tasks: TaskGroup | None = None
        self._held: anyio.CancelScope | None = None
        self._released: anyio.Event | None = None
        self._waits: set[anyio.CancelScope] = set()
        self._is_stopping = False
        self.unanswered: set[tuple[str, str]] = set()
        """Questions that a host put and got no answer to: whose they were, and about what."""

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[App]:
        """From the first message to the last; what is open is closed at the end."""
        async with anyio.create_task_group() as self._tasks:
            yield self
            await self.close()
            self._tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def held(self, _: object) -> AsyncGenerator[App]:
        """For a server whose owner holds the lifespan, since more than one transport would begin and end it."""
        yield self

    async def connection(self) -> Connection:
        """The open backend with its settings. Raises what opening it raises, and tries again the next time."""
        assert self._tasks is not None, "the lifespan has not begun"
        async with self._lock:
            held = self._connection or await self._tasks.start(self._hold_open)
            self._connection = held
        return held

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What the work comes to, or None when the server stops first."""
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            if self._is_stopping:
                scope.cancel()
            try:
                return await work
            finally:
                self._waits.discard(scope)
        return None

    def stop(self) -> None:
        """Let nobody wait any longer, now or later: whoever does is told how far things are."""
        self._is_stopping = True
        for scope in self._waits:
            scope.cancel()

    async def close(self) -> None:
        """Close the backend, which gives unfinished runs back to the queue."""
        if self._held and self._released:
            self._held.cancel()
            await self._released.wait()

    async def _hold_open(self, *, task_status: TaskStatus[Connection]) -> None:
        # A backend holds a task group, which has to be left by the task that entered it.
        self._released = anyio.Event()
        try:
            async with self._connect() as connection:
                # Only what goes on beside it is cancelled: the backend takes its own time to close.
                with anyio.CancelScope() as self._held:
                    task_status.started(connection)
                    await self._beside(connection.backend)
        finally:
            self._released.set()


Ctx = Context[App, Any]


async def connection(ctx: Ctx) -> Connection:
    """The open backend of a request."""
    return await ctx.request_context.lifespan_context.connection()
