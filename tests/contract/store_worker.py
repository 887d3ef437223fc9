"""A process of its own that uses a database: `python -m tests.contract.store_worker VERB DATABASE NAME`.

open    open it and close it again
work    for each line of standard input claim up to three runs, or finish them; answers with a line of ids
write   queue runs for ever; a line per run, once it is committed
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from functools import partial

from mcp_agent_eval.engine.store import claims, queue, runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.queue import Claim, Outcome, Totals
from mcp_agent_eval.types import now
from tests.contract.store_support import new_run


def claim_some(connection: Connection, worker: str) -> list[Claim]:
    moment = now()
    return claims.claim(connection, worker, now=moment, lease_until=moment + timedelta(hours=1), room=3)


def finish_all(connection: Connection, held: list[Claim]) -> None:
    outcome = Outcome(status="completed", termination_reason="agent_ended", ended_at=now())
    for claim in held:
        assert queue.finish(connection, claim, outcome, Totals())


async def work(database: Database, worker: str) -> None:
    held: list[Claim] = []
    while command := await asyncio.to_thread(sys.stdin.readline):
        if command == "claim\n":
            held = await database.write(partial(claim_some, worker=worker))
        else:
            await database.write(partial(finish_all, held=held))
        print(*(claim.run_id for claim in held), flush=True)


async def write_for_ever(database: Database) -> None:
    while True:
        new = [new_run() for _ in range(20)]
        await asyncio.gather(*(database.write(partial(runs.insert, new=[one])) for one in new))
        for one in new:
            print(one.run.id, flush=True)


async def main(verb: str, url: str, name: str) -> None:
    database = await open_database(url)
    try:
        if verb == "work":
            await work(database, name)
        elif verb == "write":
            await write_for_ever(database)
    finally:
        await database.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
