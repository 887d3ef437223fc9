"""What it takes to answer for suite runs of 100, 1,000 and 10,000 runs: in the engine, and over REST.

Run it alone, as `python -m tests.benchmarks.aggregates`. It prints a table and asserts nothing. Every run has a
transcript of 20 turns, to show that none is read.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import httpx2

from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.backend.embedded import EmbeddedBackend
from mcp_agent_eval.engine.limits.billing import Prices
from mcp_agent_eval.engine.limits.lanes import Lanes
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.records.catalogue import Catalogue
from mcp_agent_eval.engine.records.references import References
from mcp_agent_eval.engine.running.runs import Runs
from mcp_agent_eval.engine.running.signals import Signals
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.store import nouns, rows
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from mcp_agent_eval.engine.tools.webhooks.fire import Webhooks
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Agent, Case, Persona, Suite, Tool

SIZES = (100, 1_000, 10_000)
PROMPT = "You are the receptionist of a dental clinic. Be brief and friendly. " * 30
TOOL = Tool(name="bookAppointment", description="Books an appointment.")
EVALUATION = {
    "score": 100,
    "pass_fail": True,
    "results": [
        {
            "assertion": {"type": "must_say", "weight": 1, "pattern": "book"},
            "passed": True,
            "weight": 1,
            "reason": "matched at turn 3",
            "evidence": [{"turn_number": 3, "quote": "I will book that for you."}],
        }
    ],
}
_TURNS = """
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 19)
INSERT INTO turns (run, turn_number, id, role, text, input_tokens, output_tokens, cost_cents, created_at)
SELECT serial, n, hex(randomblob(16)), 'agent', 'I can offer you Tuesday or Thursday. Which of the two?', 1, 1, 0, 0
FROM runs, numbers
"""


def fill(connection: Connection, cases: int) -> str:
    """A suite with so many cases; its id."""
    agent = Agent(id=str(uuid4()), name="Clinic", system_prompt=PROMPT, tools=[TOOL])
    persona = Persona(id=str(uuid4()), name="Maya", identity_prompt="You are Maya. " * 10)
    suite = Suite(id=str(uuid4()), name="S")
    for noun in (agent, persona, suite):
        nouns.insert(connection, noun)
    for number in range(cases):
        nouns.insert(
            connection,
            Case(
                id=str(uuid4()),
                name=f"Case {number}",
                agent_id=agent.id,
                persona_id=persona.id,
                suite_id=suite.id,
                scenario="You want to book an appointment for a check-up. " * 3,
            ),
        )
    return suite.id


async def best(what: Callable[[], Awaitable[object]], times: int = 3) -> float:
    """Milliseconds of the fastest of a few tries."""
    taken: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        await what()
        taken.append(1000 * (time.perf_counter() - start))
    return min(taken)


async def measure(folder: Path, size: int) -> None:
    """One line of the table."""
    path = folder / f"{size}.db"
    database = await open_sqlite(f"sqlite:///{path}")
    settings = Settings.read(database_url=f"sqlite:///{path}", agent_model="offline", persona_model="offline")
    signals = Signals()
    lanes = Lanes(database)
    workshop = Workshop(
        settings,
        database,
        lanes,
        Models(settings, lanes.gate),
        Prices({}),
        signals,
        Webhooks(allow_private=False),
    )
    runs = Runs(workshop)
    backend = EmbeddedBackend("", Catalogue(database), References(database), runs, signals)
    suite_id = await database.write(lambda connection: fill(connection, size))
    start = time.perf_counter()
    suite_run_id = (await backend.start_suite_run(suite_id)).suite_run_id
    queued = 1000 * (time.perf_counter() - start)
    finish(path)
    answers: list[bytes] = []
    transport = httpx2.ASGITransport(build_api(backend))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def over_rest(path: str) -> None:
            answers.append((await client.get(path)).content)

        address = f"/agent-eval/suites/{suite_id}/runs"
        alone = await best(lambda: backend.suite_run(suite_run_id, with_runs=False))
        whole = await best(lambda: backend.suite_run(suite_run_id))
        listed = await best(lambda: over_rest(address))
        sent = await best(lambda: over_rest(f"{address}/{suite_run_id}"))
    print(
        f"{size:>7} {queued:>10.1f} {alone:>12.2f} {listed:>12.2f} {whole:>12.1f} {sent:>12.1f} "
        f"{len(answers[-1]) / 1e6:>8.1f}"
    )
    await database.aclose()


def finish(path: Path) -> None:
    """Make every run a completed one with its transcript, behind the engine's back."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE runs SET status = 'completed', queue_status = 'done', score = 100, pass_fail = 1, started_at = 1, "
            "ended_at = 2"
        )
        connection.execute("UPDATE run_documents SET evaluation = ?", [rows.to_json(EVALUATION)])
        connection.execute(_TURNS)
    connection.close()


async def main() -> None:
    columns = ("queue", "aggregate", "REST list", "with runs", "REST whole", "MB")
    widths = (10, 12, 12, 12, 12, 8)
    print(f"{'runs':>7} " + " ".join(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)))
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            await measure(Path(folder), size)


if __name__ == "__main__":
    asyncio.run(main())
