"""The models' lanes as stored: when each last answered, and until when it is paused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import QUEUE, Connection

LONGEST_PAUSE = timedelta(minutes=5)
"""Longest pause, in seconds: a longer one was written by a clock that was ahead."""


class LaneState(NamedTuple):
    """One lane. `pauses` counts pauses since it last answered; `answered_at` is None if it never did."""

    name: str
    answered_at: datetime | None = None
    paused_until: datetime | None = None
    pauses: int = 0
    reason: str | None = None

    def is_paused(self, at: datetime) -> bool:
        """Whether it is paused at that time."""
        return self.paused_until is not None and at < self.paused_until <= at + LONGEST_PAUSE


def all(connection: Connection) -> dict[str, LaneState]:
    """Every lane ever used, by name."""
    found = connection.all("list_lanes")
    return {
        row["name"]: LaneState(
            row["name"],
            rows.from_time(row["answered_at"]),
            rows.from_time(row["paused_until"] or None),
            row["pauses"],
            row["reason"],
        )
        for row in found
    }


def pause(connection: Connection, name: str, *, now: datetime, until: datetime, reason: str) -> None:
    """Pause a lane for everyone until then."""
    connection.run("pause_lane", name=name, now=rows.to_time(now), until=rows.to_time(until), reason=reason)
    connection.tell(QUEUE)


def answered(connection: Connection, name: str, now: datetime) -> None:
    """Open a lane, because it has answered."""
    connection.run("keep_lane_answered", name=name, now=rows.to_time(now))
    connection.tell(QUEUE)
