"""State that lives as long as the server: the backend, opened when the first call needs it and closed at the end.

Hosts start a server in every window, and most are never called, so the first `tools/list` opens no database and
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
    # The only late import: it brings in the engine, and a server that is only listed should not wait for it.
    from mcp_agent_eval.backend.connect import connect

    return connect()


class App:
    """The state of one server. The first call of `connection()` opens the backend; `beside` runs as long as it is
    open."""

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
        """Questions that a host asked without getting an answer: who asked, and about what."""

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[App]:
        """The server's lifespan, from the first message to the last; everything open is closed at the end."""
        async with anyio.create_task_group() as self._tasks:
            yield self
            await self.close()
            self._tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def held(self, _: object) -> AsyncGenerator[App]:
        """The lifespan of a server whose owner controls the state, since several transports would each begin and
        end it."""
        yield self

    async def connection(self) -> Connection:
        """The open backend with its settings. Raises what opening it raises, and tries again the next time."""
        assert self._tasks is not None, "the lifespan has not begun"
        async with self._lock:
            held = self._connection or await self._tasks.start(self._hold_open)
            self._connection = held
        return held

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """The result of the work, or None if the server stops first."""
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
        """End all waiting, now and in future: waiting callers get the current state."""
        self._is_stopping = True
        for scope in self._waits:
            scope.cancel()

    async def close(self) -> None:
        """Close the backend, which gives unfinished runs back to the queue."""
        if self._held and self._released:
            self._held.cancel()
            await self._released.wait()

    async def _hold_open(self, *, task_status: TaskStatus[Connection]) -> None:
        # A backend holds a task group, which must be exited by the task that entered it.
        self._released = anyio.Event()
        try:
            async with self._connect() as connection:
                # Only the tasks next to it are cancelled: the backend takes its own time to close.
                with anyio.CancelScope() as self._held:
                    task_status.started(connection)
                    await self._beside(connection.backend)
        finally:
            self._released.set()


Ctx = Context[App, Any]


async def connection(ctx: Ctx) -> Connection:
    """The open backend of a request."""
    return await ctx.request_context.lifespan_context.connection()
