"""What stands in the database, read past the engine, which is on trial."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.script import Said

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run with all that belongs to it."""

    row: Row
    turns: Sequence[Row]
    calls: Sequence[Row]

    @property
    def is_scored(self) -> bool:
        """Whether it came to a verdict, and to the best one."""
        verdict = json.loads(self.row["evaluation"] or "{}")
        return self.row["pass_fail"] == 1 and verdict.get("score") == 100

    @property
    def said(self) -> list[Said]:
        """The transcript."""
        return [Said(turn["role"], turn["text"], _tools(turn)) for turn in self.turns]

    @property
    def answers(self) -> list[tuple[int, Row]]:
        """The calls that were answered, with the numbers of the requests that were."""
        return [(int(json.loads(call["response"])["id"]), call) for call in self.calls if call["reply"]]


class Records:
    """A database of either dialect, at its address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._moved = 0

    def all(self, sql: str) -> list[Row]:
        """Every row of a query that reads."""
        with _connected(self._url) as raw:
            cursor = raw.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def change(self, sql: str) -> None:
        """Do something behind the engine's back."""
        with _connected(self._url) as raw:
            raw.execute(sql)
            raw.commit()

    def moved(self) -> int:
        """How many rows all transcripts have by now, as far as the database can be asked."""
        try:
            self._moved = self.all("SELECT count(*) AS rows FROM turns")[0]["rows"]
        except Exception as exc:
            if not is_away(exc):
                raise
        return self._moved

    def unfinished(self) -> int:
        """How many runs are not over."""
        return self.all("SELECT count(*) AS runs FROM runs WHERE queue_status <> 'done'")[0]["runs"]

    def claimed_by(self, pid: int) -> list[str]:
        """The runs that a process holds, dead or alive."""
        held = f"queue_status = 'claimed' AND lease_owner LIKE '{pid}-%'"
        return [row["id"] for row in self.all(f"SELECT id FROM runs WHERE {held}")]

    def waiting(self) -> int:
        """How many runs wait for a model."""
        return self.all("SELECT count(*) AS runs FROM runs WHERE waiting_for IS NOT NULL")[0]["runs"]

    def spending(self) -> tuple[int, int]:
        """Nano-dollars that count as spent, and those that the runs tell of."""
        counted = "SELECT * FROM spending UNION ALL SELECT scope, nano_usd FROM reservations"
        spent = self.all(f"SELECT sum(nano_usd) AS nano FROM ({counted}) AS counted WHERE scope LIKE 'day %'")
        recorded = self.all("SELECT sum(cost_nano_usd) AS nano FROM whole_runs")
        return int(spent[0]["nano"] or 0), int(recorded[0]["nano"] or 0)

    def deadlocks(self) -> int | None:
        """How often transactions have waited for each other, where that may happen."""
        if is_file(self._url):
            return None
        found = self.all("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return found[0]["deadlocks"]

    def runs(self) -> list[Recorded]:
        """Every run with its turns and calls."""
        runs = self.all("SELECT runs.*, evaluation FROM runs JOIN run_documents ON run = serial")
        turns = _by_run(self.all("SELECT * FROM turns ORDER BY run, turn_number"))
        calls = _by_run(self.all("SELECT * FROM model_calls ORDER BY run, seq"))
        return [Recorded(row, turns.get(row["serial"], []), calls.get(row["serial"], [])) for row in runs]


def is_away(exc: Exception) -> bool:
    """Whether it is the connection that was lost."""
    import psycopg

    return isinstance(exc, psycopg.OperationalError)


@contextmanager
def _connected(url: str) -> Generator[Any]:
    if is_file(url):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        import psycopg

        connection = psycopg.connect(url, options="-c search_path=agent_eval")
    with closing(connection):
        yield connection


def is_file(url: str) -> bool:
    """Whether an address is that of a SQLite database."""
    return url.startswith("sqlite:///")


def _by_run(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["run"], []).append(row)
    return found


def _tools(turn: Row) -> tuple[Any, ...]:
    uses = json.loads(turn["tool_calls"] or "[]")
    outcome = "args" if turn["role"] == "agent" else "result"
    return tuple((use["name"], use.get(outcome)) for use in uses)
