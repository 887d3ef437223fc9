"""Who waits for a run hears of its changes at once, as long as the run is executed in this process."""

from __future__ import annotations

import anyio


class Signals:
    """Wakes the waiters of a key. A change in another process is not heard: waiters look again by themselves."""

    def __init__(self) -> None:
        self._events: dict[str, anyio.Event] = {}

    def pulse(self, *keys: str | None) -> None:
        """Wake everybody who waits for one of these."""
        for key in keys:
            if key and (event := self._events.pop(key, None)):
                event.set()

    def event(self, key: str) -> anyio.Event:
        """Set at the next pulse of `key`. Ask for it before you look, then nothing is missed in between."""
        return self._events.setdefault(key, anyio.Event())
