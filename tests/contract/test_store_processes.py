"""Several processes on one database, as every IDE window starts one; and one that is killed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_agent_eval.engine.store import runs
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.types import RunFilter
from tests.contract import store_support as support
from tests.contract.store_support import Background, new_run, new_suite_run, queued

ROOT = Path(__file__).resolve().parents[2]


async def test_several_processes_may_make_the_same_new_database_at_once(database_url: str) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(partial(anyio.run_process, command("open", database_url), cwd=ROOT, stderr=None))
    database = await open_database(database_url)
    assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 0
    await database.aclose()


async def test_no_run_is_claimed_twice_and_no_suite_run_gets_more_than_its_parallelism(
    database_url: str,
) -> None:
    database = await open_database(database_url)
    limits = {await new_suite_run(database, limit): limit for limit in (1, 2, 4)}
    new = [new_run(suite_run_id=group) for _ in range(12) for group in [*limits, None]]
    groups = {one.run.id: one.run.suite_run_id for one in new}
    claimed: list[str] = []
    await queued(database, *new)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(working(database_url, f"worker {n}")) for n in range(4)]
        while held := await all_at_once(workers, "claim"):
            claimed += held
            at_once = Counter(groups[id] for id in held)
            assert all(at_once[group] <= limit for group, limit in limits.items())
            await all_at_once(workers, "finish")
    assert sorted(claimed) == sorted(groups)
    await database.aclose()


async def test_a_process_that_is_killed_while_it_writes_loses_nothing_that_was_committed(
    database_url: str,
) -> None:
    async with await started(command("write", database_url)) as process:
        assert process.stdout
        output = BufferedByteReceiveStream(process.stdout)
        committed = [await next_line(output) for _ in range(200)]
        process.kill()
    database = await open_database(database_url)
    for id in committed:
        assert (await support.run(database, id)).status == "queued"
    assert await queued(database, new_run("after")) == ["after"]
    await database.aclose()


async def test_a_process_learns_of_the_runs_that_another_one_queues(database_url: str) -> None:
    mine = await open_database(database_url)
    before = await mine.changes()
    async with await started(command("write", database_url)) as process:
        with anyio.fail_after(10):
            while await mine.changes() == before:
                await anyio.lowlevel.checkpoint()
        process.kill()
    await mine.aclose()


async def test_a_process_that_cannot_open_the_database_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        await anyio.run_process(command("open", str(tmp_path)), cwd=ROOT)


class Worker:
    """A process that claims and finishes runs when it is told to."""

    def __init__(self, process: Process) -> None:
        assert process.stdout
        assert process.stdin
        self._stdin = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    async def ask(self, what: str) -> list[str]:
        """The ids that it holds afterwards."""
        await self._stdin.send(f"{what}\n".encode())
        return (await next_line(self._output)).split()

    async def stop(self) -> None:
        await self._stdin.aclose()


@asynccontextmanager
async def working(database_url: str, name: str) -> AsyncIterator[Worker]:
    async with await started(command("work", database_url, name)) as process:
        worker = Worker(process)
        yield worker
        await worker.stop()
        assert await process.wait() == 0


async def all_at_once(workers: Sequence[Worker], what: str) -> list[str]:
    """All that they hold, once each of them has done it."""
    async with anyio.create_task_group() as tasks:
        asked = [Background(tasks, worker.ask(what)) for worker in workers]
    assert [one.error for one in asked] == [None] * len(workers)
    return [id for one in asked for id in one.value]


async def next_line(output: BufferedByteReceiveStream) -> str:
    return (await output.receive_until(b"\n", 1000)).decode()


async def started(command: Sequence[str]) -> Process:
    return await anyio.open_process(command, cwd=ROOT, stderr=None)


def command(verb: str, database_url: str, name: str = "") -> list[str]:
    return [sys.executable, "-m", "tests.contract.store_worker", verb, database_url, name]
