"""Many runs: fanned out from a suite, claimed, ended and aggregated, and what each of these costs beside a long queue.

Run it alone, as `python -m tests.benchmarks.fan_out [--database sqlite|postgres]`. It prints two tables and asserts
nothing. PostgreSQL is a server of our own that flushes nothing to the disk, so compare its rates with care.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from mcp_agent_eval.backend.embedded import open_embedded
from mcp_agent_eval.engine.store import claims, journal, queue, runs, suite_runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.queue import Claim, Outcome, Totals
from mcp_agent_eval.engine.store.suite_runs import NewSuiteRun
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import now
from tests.benchmarks.aggregates import fill
from tests.benchmarks.store_turns import new_run, step
from tests.postgres import new_database, own_server

T = TypeVar("T")

SUITES = (1_000, 10_000)
QUEUES = (1_000, 10_000, 100_000)
AT_ONCE = 16
LANES = 10
TRIES = 30
LEASE = timedelta(hours=1)


async def fan_out(url: str, size: int) -> list[str]:
    """A suite of so many cases, from its start to its last aggregate: one line of the first table."""
    database = await open_database(url)
    suite_id = await database.write(lambda connection: fill(connection, size))
    id, start = await _start(url, suite_id)
    drained, drain = await _timed(lambda: _drain(database))
    ended, aggregate = await _timed(lambda: database.read(partial(suite_runs.get, id=id)))
    assert drained == size
    assert ended
    assert ended.completed == size
    await database.aclose()
    return [f"{size:,}", _rate(size, start), _rate(size, drain), _milliseconds(aggregate)]


async def beside(url: str, size: int) -> list[str]:
    """What single steps cost while so many runs wait: one line of the second table."""
    database = await open_database(url)
    lanes, inserted = await _timed(lambda: _queue(database, size))
    [held, *_] = await database.write(partial(_claim, worker="talks"))
    ids = iter(range(TRIES))
    costs = [
        await _median(lambda: _claim_and_return(database)),
        await _median(lambda: _write_turn(database, held, next(ids))),
        await _median(lambda: _aggregate(database, lanes[0])),
    ]
    await database.aclose()
    return [f"{size:,}", _rate(size, inserted), *map(_milliseconds, costs)]


async def _start(url: str, suite_id: str) -> tuple[str, float]:
    settings = Settings.read(
        database_url=url, agent_model="offline", persona_model="offline", max_concurrency=0
    )
    async with open_embedded(settings) as backend:
        await backend.update("suite", suite_id, {"parallelism": AT_ONCE})
        started, seconds = await _timed(lambda: backend.start_suite_run(suite_id))
    return started.suite_run_id, seconds


async def _drain(database: Database) -> int:
    """Claim as many as a suite may have at once and end them, each for itself, until none is left."""
    ended = 0
    while held := await database.write(_claim):
        await asyncio.gather(*(database.write_own(partial(_finish, claim=claim)) for claim in held))
        ended += len(held)
    return ended


def _claim(connection: Connection, worker: str = "w") -> list[Claim]:
    at = now()
    return claims.claim(
        connection, worker, now=at, lease_until=at + LEASE, room=AT_ONCE, offers=lambda _: True
    )


def _finish(connection: Connection, claim: Claim) -> None:
    outcome = Outcome(
        status="completed", termination_reason="agent_ended", ended_at=now(), score=100, pass_fail=True
    )
    assert queue.finish(connection, claim, outcome, Totals())


async def _queue(database: Database, size: int) -> list[str]:
    """So many runs in a few suite runs, all waiting; the ids of these."""
    ids = [str(uuid4()) for _ in range(LANES)]

    def work(connection: Connection) -> None:
        for id in ids:
            suite_runs.insert(connection, NewSuiteRun(id, None, 2 * AT_ONCE, now()))
        runs.insert(connection, (new_run(ids[n % LANES], n) for n in range(size)))

    await database.write(work)
    return ids


async def _claim_and_return(database: Database) -> float:
    """The seconds that a claim takes; what was claimed goes back."""
    held, seconds = await _timed(lambda: database.write(_claim))
    assert len(held) == AT_ONCE
    await database.write(lambda connection: queue.release(connection, "w", now()))
    return seconds


async def _write_turn(database: Database, claim: Claim, number: int) -> float:
    """The seconds until one model call and its turn are stored."""
    call, turn, totals = step(claim, number)
    work = partial(
        journal.record, claim=claim, calls=[call], turns=[turn], totals=totals, requests=Requests()
    )
    return (await _timed(lambda: database.write_own(work)))[1]


async def _aggregate(database: Database, suite_run_id: str) -> float:
    """The seconds that the figures of one suite run take, a tenth of all runs."""
    return (await _timed(lambda: database.read(partial(suite_runs.get, id=suite_run_id))))[1]


async def _timed(what: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    began = time.perf_counter()
    value = await what()
    return value, time.perf_counter() - began


async def _median(measured: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await measured() for _ in range(TRIES)])


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}/s"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


def show(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table."""
    for line in (columns, *lines):
        print(" ".join(f"{cell:>16}" for cell in line))
    print(flush=True)


def measure(kind: str, new_url: Callable[[], AbstractContextManager[str]]) -> None:
    """Both tables, each line on a database of its own."""

    def alone(line: Callable[[str, int], Coroutine[Any, Any, list[str]]], size: int) -> list[str]:
        with new_url() as url:
            return asyncio.run(line(url, size))

    print(f"{kind}: a suite, from its start to its last aggregate")
    show(("cases", "started", "claimed, ended", "aggregate"), [alone(fan_out, size) for size in SUITES])
    print(f"{kind}: one step beside so many runs that wait, with its commit; medians of {TRIES}")
    columns = ("waiting", "inserted", f"claim of {AT_ONCE}", "turn", "aggregate of 10%")
    show(columns, [alone(beside, size) for size in QUEUES])


@contextmanager
def new_file() -> Generator[str]:
    """The address of a SQLite file that is not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'evals.db'}"


def main() -> None:
    """Print the tables of one database, or of both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    chosen = parser.parse_args().database
    if chosen != "postgres":
        measure("SQLite", new_file)
    if chosen != "sqlite":
        with own_server() as server:
            measure("PostgreSQL", partial(new_database, server.url("postgres")))


if __name__ == "__main__":
    main()
