"""Receives the notifications that processes sharing a PostgreSQL database send each other."""

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
"""Seconds after which the thread notices that it should stop, even if the stop message was lost."""

_PAUSE = 1.0


class Listener:
    """Calls `heard`, in the event loop where it was created, with every name notified on a channel, and with an
    empty name when some may have been missed."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection], channel: LiteralString, heard: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._channel: LiteralString = channel
        self._heard = heard
        self._farewell: str | None = None
        self._stopping = Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: its notifications do not matter once the program ends.
        self._thread = Thread(target=self._main, name="evals-listener", daemon=True)

    def start(self) -> None:
        """Listen from now on, through every loss of the connection."""
        self._thread.start()

    def stop_at(self, farewell: str) -> None:
        """Stop when this name is heard, or a little later if it never is."""
        self._farewell = farewell
        self._stopping.set()

    async def aclose(self) -> None:
        """Wait for the thread, which has already been asked to stop."""
        if self._thread.is_alive():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, _LOOK_UP)

    def _main(self) -> None:
        while not self._stopping.is_set():
            # Problems with the server are reported by the threads that need an answer from it.
            with suppress(Exception), self._connect() as connection:
                connection.execute(f"LISTEN {self._channel}")
                self._pass_on("")
                self._listen(connection)
            self._stopping.wait(_PAUSE)

    def _listen(self, connection: psycopg.Connection) -> None:
        # The stop message is sent after the flag is set: a thread that starts to listen too late sees the flag.
        while not self._stopping.is_set():
            for notification in connection.notifies(timeout=_LOOK_UP):
                if notification.payload == self._farewell:
                    return
                self._pass_on(notification.payload)

    def _pass_on(self, name: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: no one is waiting
            self._loop.call_soon_threadsafe(self._heard, name)
