"""Wakes everyone who waits for a run, or listens to all runs, as soon as one changes: in this process, or in
another one that reports it through the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_BEHIND = 1000
"""Changes that a listener may leave unread. Beyond that it misses some, so that it cannot hold anyone up."""


class Signals:
    """Rings for runs and suite runs. If other processes cannot report changes, waiters look again by themselves."""

    def __init__(self) -> None:
        # An event lives only while someone waits for it: most are never rung.
        self._events: WeakValueDictionary[str, anyio.Event] = WeakValueDictionary()
        self._listeners: set[MemoryObjectSendStream[str]] = set()

    def __len__(self) -> int:
        """The number of runs and suite runs that are waited for."""
        return len(self._events)

    def ring(self, run_id: str, suite_run_id: str | None) -> None:
        """Wake everyone who waits for this run or its suite run, because it has moved on."""
        for key in filter(None, (run_id, suite_run_id)):
            self.hear(key)
        for listener in self._listeners:
            try:
                listener.send_nowait(run_id)
            except anyio.WouldBlock:
                continue

    def hear(self, name: str) -> None:
        """Wake everyone who waits for this name; without a name, everyone."""
        for key in [name] if name else list(self._events):
            if event := self._events.pop(key, None):
                event.set()

    def event(self, key: str) -> anyio.Event:
        """An event set when a run or suite run moves on. Get it before looking, so that nothing in between is
        missed."""
        return self._events.setdefault(key, anyio.Event())

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[MemoryObjectReceiveStream[str]]:
        """Yield the ids of runs as they move on, from now until the block exits."""
        send, receive = anyio.create_memory_object_stream[str](_BEHIND)
        self._listeners.add(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._listeners.discard(send)
