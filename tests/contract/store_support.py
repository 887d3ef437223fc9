"""What the tests of the store share: a database of each dialect, and things to put into it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup

from mcp_agent_eval.engine.store import claims, nouns, queue, runs, suite_runs
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.queue import Claim, Outcome, Totals
from mcp_agent_eval.engine.store.runs import NewRun
from mcp_agent_eval.engine.store.suite_runs import NewSuiteRun
from mcp_agent_eval.types import Agent, Case, Persona, Run, Suite
from mcp_agent_eval.types.base import Stamped

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
FOREVER = 1_000_000

_ticks = count()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of every dialect that there is."""
    opened = await open_database(database_url)
    yield opened
    await opened.aclose()


def later(seconds: float = 0) -> datetime:
    """A moment after NOON."""
    return NOON + timedelta(seconds=seconds)


def new_id() -> str:
    return str(uuid4())


def agent(**fields: Any) -> Agent:
    return _noun(Agent, {"name": "Receptionist", "system_prompt": "Be brief."} | fields)


def persona(**fields: Any) -> Persona:
    return _noun(Persona, {"name": "Dana", "identity_prompt": "You call about a leak."} | fields)


def suite(**fields: Any) -> Suite:
    return _noun(Suite, {"name": "Smoke"} | fields)


def case(of: Agent, by: Persona, **fields: Any) -> Case:
    about = {"name": "Leak", "agent_id": of.id, "persona_id": by.id, "scenario": "A pipe leaks."}
    return _noun(Case, about | fields)


def _noun(cls: Any, fields: dict[str, Any]) -> Any:
    """A noun a second younger than the one before."""
    made = later(next(_ticks))
    return cls(**{"id": new_id(), "created_at": made, "updated_at": made} | fields)


def new_run(id: str | None = None, *, suite_run_id: str | None = None, **fields: Any) -> NewRun:
    """A queued run; `needs`, `position`, `snapshot` and `idempotency_key` go beside it."""
    beside = {
        key: fields.pop(key) for key in ("needs", "position", "snapshot", "idempotency_key") if key in fields
    }
    ids = {"case_id": "case", "agent_id": "agent", "persona_id": "persona"}
    run = Run(**{"id": id or new_id(), "suite_run_id": suite_run_id, "created_at": NOON} | ids | fields)
    return NewRun(run, **{"snapshot": {"case": "as it was"}} | beside)


async def stored(database: Database, *things: Stamped) -> None:
    """Put nouns into the database."""
    for thing in things:
        await database.write(partial(nouns.insert, noun=thing))


async def queued(database: Database, *new: NewRun) -> list[str]:
    """Put runs into the queue; their ids."""
    await database.write(lambda connection: runs.insert(connection, new))
    return [one.run.id for one in new]


async def new_suite_run(
    database: Database, parallelism: int = 1, suite_id: str | None = "suite", **more: Any
) -> str:
    """A suite run without runs; its id."""
    new = NewSuiteRun(new_id(), suite_id, parallelism, more.pop("created_at", NOON), **more)
    await database.write(partial(suite_runs.insert, new=new))
    return new.id


async def claim(
    database: Database,
    room: int = FOREVER,
    *,
    worker: str = "worker",
    at: float = 0,
    offers: Sequence[str] = (),
    limits: Mapping[str, int] | None = None,
) -> list[Claim]:
    """Claim until 30 seconds after `at`."""
    moment = later(at)
    limits = limits or {}
    return await database.write(
        lambda connection: claims.claim(
            connection,
            worker,
            now=moment,
            lease_until=moment + LEASE,
            room=room,
            offers=set(offers).__contains__,
            limit=limits.get,
        )
    )


async def finish(database: Database, claim: Claim, totals: Totals | None = None, **outcome: Any) -> bool:
    """End a claimed run, completed unless said otherwise."""
    ended = Outcome(
        **{"status": "completed", "termination_reason": "agent_ended", "ended_at": later(60)} | outcome
    )
    return await database.write(partial(queue.finish, claim=claim, outcome=ended, totals=totals or Totals()))


async def run(database: Database, id: str) -> Run:
    """A run that must be there."""
    found = await database.read(partial(runs.get, id=id))
    assert found is not None
    return found


class Pause:
    """Stops a unit of work in the middle, and lets it go on at the end of the block."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._go_on = threading.Event()

    def here(self) -> None:
        """Called by the unit of work."""
        self._reached.set()
        assert self._go_on.wait(10)

    async def reached(self) -> None:
        """Wait until the unit of work is there."""
        assert await anyio.to_thread.run_sync(self._reached.wait, 10)

    async def __aenter__(self) -> Pause:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()


class Background:
    """Something that is awaited in a task of its own."""

    def __init__(self, tasks: TaskGroup, awaitable: Coroutine[Any, Any, Any]) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        tasks.start_soon(self._run, awaitable)

    async def _run(self, awaitable: Coroutine[Any, Any, Any]) -> None:
        try:
            self.value = await awaitable
        except Exception as exc:
            self.error = exc
