"""Decides which pending runs a worker may claim: no more per suite run and per model than allowed at once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from mcp_agent_eval.engine.store import lanes, rows
from mcp_agent_eval.engine.store.database import Connection, Row
from mcp_agent_eval.engine.store.lanes import LaneState
from mcp_agent_eval.engine.store.queue import Claim

Offers = Callable[[str], bool]
Limit = Callable[[str], int | None]


def _nothing(_: str) -> bool:
    return False


def _unlimited(_: str) -> None:
    return None


def claim(
    connection: Connection,
    worker: str,
    *,
    now: datetime,
    lease_until: datetime,
    room: int,
    offers: Offers = _nothing,
    limit: Limit = _unlimited,
) -> list[Claim]:
    """Claim up to `room` of the pending runs, the oldest of each suite run in turn.

    Runs that need a lane the worker does not offer are left to others. All workers together never hold more runs of
    a lane than its `limit`: none while it is paused, and one until it has answered again.
    """
    traffic = Traffic(connection, now, limit)
    needs = {row["needs"]: rows.from_json(row["needs"]) for row in connection.all("list_pending_needs")}
    wanted = [text for text, names in needs.items() if all(map(offers, names)) and traffic.has_room(names)]
    if not wanted or room < 1:
        return []
    heads = connection.all("list_claimable", needs=wanted, room=room)
    claimed = connection.all(
        "claim_runs",
        run_ids=[head["id"] for head in traffic.choose(heads, room)],
        worker=worker,
        now=rows.to_time(now),
        lease_until=rows.to_time(lease_until),
    )
    return [_claim(row, worker) for row in sorted(claimed, key=lambda row: row["serial"])]


class Traffic:
    """What all workers together are executing, and how many more runs each lane accepts."""

    def __init__(self, connection: Connection, now: datetime, limit: Limit) -> None:
        self._now = now
        self._limit = limit
        self._states = lanes.all(connection)
        self._in_model: Counter[str] = Counter()
        self._in_suite_run: Counter[str] = Counter()
        for row in connection.all("count_claimed"):
            self._in_suite_run[row["lane"]] += row["claimed"]
            for name in rows.from_json(row["needs"]):
                self._in_model[name] += row["claimed"]

    def has_room(self, names: Sequence[str]) -> bool:
        """Whether one more run that needs these lanes may be executed."""
        return all(self._in_model[name] < self._most(name) for name in names)

    def choose(self, heads: Sequence[Row], room: int) -> Iterator[Row]:
        """The runs to claim. Suite runs take turns, so one with thousands of runs holds up no one."""
        chosen: Counter[str] = Counter()
        for head in sorted(heads, key=self._turn):
            names = rows.from_json(head["needs"])
            if chosen[head["lane"]] < head["free"] and self.has_room(names):
                chosen[head["lane"]] += 1
                self._in_model.update(names)
                yield head
                room -= 1
                if room == 0:
                    return

    def _turn(self, head: Row) -> tuple[int, int]:
        return self._in_suite_run[head["lane"]] + head["place"], head["serial"]

    def _most(self, name: str) -> float:
        state = self._states.get(name, LaneState(name))
        if state.is_paused(self._now):
            return 0
        limit = self._limit(name)
        most = math.inf if limit is None else limit
        return min(most, 1) if state.pauses else most


def _claim(row: Row, worker: str) -> Claim:
    return Claim(row["id"], worker, row["epoch"], row["attempts"])
