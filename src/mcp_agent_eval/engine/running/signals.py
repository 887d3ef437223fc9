"""Who waits for a run, or listens to all of them, hears of changes at once: those that happen in this process, and
those that others tell through the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_BEHIND = 1000
"""Changes that a listener may leave unread; beyond that it misses some, and nobody waits for it."""


class Signals:
    """Rings for runs and suite runs. Where another process cannot tell, waiters look again by themselves."""

    def __init__(self) -> None:
        # An event lives as long as somebody waits for it: most that are asked for are never rung.
        self._events: WeakValueDictionary[str, anyio.Event] = WeakValueDictionary()
        self._listeners: set[MemoryObjectSendStream[str]] = set()

    def __len__(self) -> int:
        """How many runs and suite runs are waited for."""
        return len(self._events)

    def ring(self, run_id: str, suite_run_id: str | None) -> None:
        """A run has moved on: wake everybody who waits for it or for its suite run."""
        for key in filter(None, (run_id, suite_run_id)):
            self.hear(key)
        for listener in self._listeners:
            try:
                listener.send_nowait(run_id)
            except anyio.WouldBlock:
                continue

    def hear(self, name: str) -> None:
        """Wake everybody who waits for this; without a name, everybody."""
        for key in [name] if name else list(self._events):
            if event := self._events.pop(key, None):
                event.set()

    def event(self, key: str) -> anyio.Event:
        """Set when a run or suite run moves on. Ask for it before you look, then nothing is missed in between."""
        return self._events.setdefault(key, anyio.Event())

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[MemoryObjectReceiveStream[str]]:
        """The ids of runs as they move on, from now until the block is left."""
        send, receive = anyio.create_memory_object_stream[str](_BEHIND)
        self._listeners.add(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.discard(send)
