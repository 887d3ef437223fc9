"""What the store costs: a model call with its turns, a claim among many runs, an aggregate.

Run it alone, as `python -m tests.benchmarks.store_turns`. It prints a table and asserts nothing.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from mcp_agent_eval.engine.store import claims, journal, queue, runs, suite_runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.journal import NewCall
from mcp_agent_eval.engine.store.queue import Claim, Spent, Totals
from mcp_agent_eval.engine.store.runs import NewRun
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from mcp_agent_eval.engine.store.suite_runs import NewSuiteRun
from mcp_agent_eval.types import Json, ModelRole, Run, RunFilter, Turn, now

CALLS_PER_RUN = 12
SPEECH = (
    "I can offer you Tuesday at 3 pm, or Thursday in the morning. Which of the two would suit you better? "
    * 2
)
SYSTEM = "You are the receptionist of a property management company. " * 30
TOOL: Json = {
    "name": "book",
    "parameters": {"type": "object", "properties": {"when": {"type": "string"}, "who": {"type": "string"}}},
}
SNAPSHOT: Json = {
    "case": {"scenario": SPEECH},
    "persona": {"identity_prompt": SPEECH},
    "agent": {"system": SYSTEM},
}


def request(role: ModelRole, said: int) -> Json:
    """A body as a wire builds it: new objects around the same strings."""
    history = [{"role": "user" if n % 2 else "assistant", "content": SPEECH} for n in range(said)]
    tools = [{"type": "function", "function": TOOL}]
    messages = [{"role": "system", "content": SYSTEM}, *history]
    return {"model": f"some-{role}-model", "temperature": 0.5, "messages": messages, "tools": tools}


def response() -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": SPEECH}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 812, "completion_tokens": 41, "total_tokens": 853}
    return {"id": "chatcmpl-123", "object": "chat.completion", "choices": [choice], "usage": usage}


def step(claim: Claim, number: int) -> tuple[NewCall, Turn, Totals]:
    """What one model call leads to."""
    role: ModelRole = "agent" if number % 2 else "persona"
    call = NewCall(
        number, role, "some-model", request(role, number), response(), {"text": SPEECH}, 812, 41, 120_000
    )
    turn = Turn(
        id=str(uuid4()), run_id=claim.run_id, turn_number=number, role=role, text=SPEECH, model="some-model"
    )
    spent = Spent(812 * number, 41 * number, 120_000 * number)
    return call, turn, Totals(number + 1, spent, spent)


async def converse(database: Database, claim: Claim, steps: Iterable[tuple[NewCall, Turn, Totals]]) -> None:
    requests = Requests()
    for call, turn, totals in steps:
        work = partial(
            journal.record, claim=claim, calls=[call], turns=[turn], totals=totals, requests=requests
        )
        requests = (await database.write(work)).requests


def new_run(suite_run_id: str | None = None, position: int = 0, **changes: object) -> NewRun:
    run = Run(id=str(uuid4()), case_id=str(uuid4()), suite_run_id=suite_run_id, agent_id="a", persona_id="p")
    return NewRun(run.model_copy(update=changes), SNAPSHOT, position=position)


async def measure_turns(folder: Path, at_once: int, conversations: int) -> None:
    database = await open_sqlite(folder / f"turns-{at_once}.db")
    moment = now()
    await database.write(lambda c: runs.insert(c, [new_run() for _ in range(conversations)]))
    held = await database.write(
        lambda c: claims.claim(
            c, "w", now=moment, lease_until=moment + timedelta(hours=1), room=conversations
        )
    )
    waiting = [(claim, [step(claim, number) for number in range(CALLS_PER_RUN)]) for claim in held]

    async def lane() -> None:
        while waiting:
            await converse(database, *waiting.pop())

    gc.collect()
    gc.freeze()  # what was prepared is not to be looked through again and again
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await database.aclose()
    count = conversations * CALLS_PER_RUN
    size = (folder / f"turns-{at_once}.db").stat().st_size / conversations / 1024
    print(
        f"{at_once:>3} at once: {cpu / count * 1e6:6.1f} us CPU a model call, {wall / count * 1e6:7.1f} us wall,"
    )
    print(f"             {size:.1f} kB a run of {CALLS_PER_RUN} calls")


async def fill(database: Database, rows: int, lanes: int) -> list[str]:
    """Half of the runs are done; the others wait in suite runs, and some in none."""
    ids = [str(uuid4()) for _ in range(lanes)]
    moment = now()

    def work(connection: Connection) -> None:
        for id in ids:
            suite_runs.insert(connection, NewSuiteRun(id, None, 4, moment))
        done = (new_run(ids[n % lanes], n, status="completed", queue_status="done") for n in range(rows // 2))
        waiting = (new_run(ids[n % lanes] if n % 10 else None, n) for n in range(rows // 2))
        runs.insert(connection, done)
        runs.insert(connection, waiting)

    await database.write(work)
    return ids


async def timed(database: Database, what: str, work: Callable[[Connection], object], times: int = 30) -> None:
    """The seconds that a unit of work takes, without its commit."""

    def measured(connection: Connection) -> float:
        began = time.perf_counter()
        work(connection)
        return time.perf_counter() - began

    taken = [await database.write(measured) for _ in range(times)]
    print(f"{what}: median {statistics.median(taken) * 1e3:.3f} ms, worst {max(taken) * 1e3:.3f} ms")


async def measure_queue(folder: Path, rows: int, lanes: int) -> None:
    database = await open_sqlite(folder / f"queue-{lanes}.db")
    ids = await fill(database, rows, lanes)
    moment = now()
    later = moment + timedelta(hours=1)
    print(f"{rows} runs, half of them done, {lanes} suite runs:")

    def claim(connection: Connection) -> object:
        return claims.claim(connection, "w", now=moment, lease_until=later, room=16)

    await timed(database, "  claim 16", claim)
    await timed(database, "  claim that finds every lane full", claim, 5)
    await timed(database, "  renew", lambda c: queue.renew(c, "w", later, []))
    await timed(database, "  reap, nothing expired", lambda c: queue.reap(c, moment, 3))
    await timed(database, "  aggregate of one suite run", lambda c: suite_runs.get(c, ids[0]), 5)
    await timed(database, "  first page of runs", lambda c: runs.page(c, RunFilter()), 5)
    await timed(
        database, "  first page of failed runs", lambda c: runs.page(c, RunFilter(status="failed")), 5
    )
    await database.aclose()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for at_once, conversations in ((1, 40), (10, 200), (50, 500)):
            await measure_turns(Path(folder), at_once, conversations)
        for lanes in (10, 500):
            await measure_queue(Path(folder), 100_000, lanes)


if __name__ == "__main__":
    asyncio.run(main())
