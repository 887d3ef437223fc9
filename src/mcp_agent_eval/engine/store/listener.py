"""Hears what processes that share a PostgreSQL database tell each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, LiteralString

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    import psycopg

_LOOK_UP = 5.0
"""Seconds after which the thread sees that it was to stop, though its farewell got lost."""

_PAUSE = 1.0


class Listener:
    """Calls `heard` in the event loop it was made in, with every name that is told on a channel, and with an empty
    one when some may have been missed."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], channel: LiteralString, heard: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._channel: LiteralString = channel
        self._heard = heard
        self._farewell: str | None = None
        self._stopping = Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: what it hears matters to nobody once the program ends.
        self._thread = Thread(target=self._main, name="evals-listener", daemon=True)

    def start(self) -> None:
        """Listen from now on, through every loss of the connection."""
        self._thread.start()

    def stop_at(self, farewell: str) -> None:
        """Stop when this name is heard, or a little later if it never is."""
        self._farewell = farewell
        self._stopping.set()

    async def aclose(self) -> None:
        """Wait for the thread, which was told when to stop."""
        if self._thread.is_alive():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, _LOOK_UP)

    def _main(self) -> None:
        while not self._stopping.is_set():
            # Whatever is wrong with the server is told by those who need an answer from it.
            with suppress(Exception), self._connect() as connection:
                connection.execute(f"LISTEN {self._channel}")
                self._pass_on("")
                self._listen(connection)
            self._stopping.wait(_PAUSE)

    def _listen(self, connection: psycopg.Connection) -> None:
        # A farewell is told after the flag is set: who begins to listen too late for it, sees the flag.
        while not self._stopping.is_set():
            for notification in connection.notifies(timeout=_LOOK_UP):
                if notification.payload == self._farewell:
                    return
                self._pass_on(notification.payload)

    def _pass_on(self, name: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._heard, name)
