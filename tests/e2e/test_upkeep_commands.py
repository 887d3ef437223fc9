"""`worker`, `prune` and `backup` as processes, beside others on the same database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.engine.store import runs
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import RunFilter, now
from tests.contract.store_support import new_run, queued
from tests.contract.test_backend import make_case, settled
from tests.contract.test_store_processes import next_line
from tests.provider import provider
from tests.support import OFFLINE


def environment(database_url: str, **settings: str) -> dict[str, str]:
    given = {"DATABASE_URL": database_url} | {name.upper(): value for name, value in OFFLINE.items()}
    return os.environ | {f"AGENT_EVAL_{name}": value for name, value in (given | settings).items()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mcp_agent_eval", *arguments]


def run(
    database_url: str, *arguments: str, code: int = 0, **settings: str
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, with this code."""
    env = environment(database_url, **settings)
    done = subprocess.run(
        command(*arguments), env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def starter(database_url: str) -> Settings:
    """Settings of a process that starts runs and carries out none."""
    return Settings.read(database_url=database_url, max_concurrency=0, **OFFLINE)


class Worker:
    """A `worker` and what it says."""

    def __init__(self, process: Process) -> None:
        assert process.stderr
        self.process = process
        self._output = BufferedByteReceiveStream(process.stderr)

    async def line(self) -> str:
        with anyio.fail_after(20):
            return await next_line(self._output)


@asynccontextmanager
async def working(
    database_url: str, *arguments: str, ends_with: int = 0, **settings: str
) -> AsyncIterator[Worker]:
    """A worker that has begun; it has to end by itself."""
    env = environment(database_url, **settings)
    async with await anyio.open_process(command("worker", *arguments), env=env) as process:
        worker = Worker(process)
        try:
            assert (await worker.line()).startswith("Working on ")
            yield worker
            with anyio.fail_after(20):
                assert await process.wait() == ends_with
        finally:
            if process.returncode is None:
                process.kill()


class TestWorker:
    async def test_it_carries_out_what_others_start(self, database_url: str) -> None:
        async with connect(starter(database_url)) as link, working(database_url, "--verbose") as worker:
            suite = await link.backend.create("suite", {"name": "All", "parallelism": 2})
            for name in ("First", "Second", "Third"):
                await make_case(link.backend, suite_id=suite.id, name=name)
            aggregate = await settled(link.backend, await link.backend.start_suite_run(suite.id))
            assert (aggregate.completed, aggregate.passed) == (3, 3)
            said = [await worker.line() for _ in range(3)]
            assert {line.split()[1] for line in said} == {"First", "Second", "Third"}
            assert all(line.startswith("PASS") for line in said)
            worker.process.send_signal(signal.SIGTERM)
            assert "Stopped by SIGTERM" in await worker.line()

    @pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
    async def test_it_gives_back_at_once_what_it_has_not_finished_however_often_it_is_told(
        self, tmp_path: Path, sent: signal.Signals
    ) -> None:
        path = tmp_path / "evals.db"
        async with provider(lambda _: "Hello.", open_gate=False) as held:
            settings = {"PERSONA_MODEL": "openai:held", "MODEL_BASE_URL": held.url}
            playing = Settings.read(
                database_url=str(path),
                max_concurrency=0,
                **OFFLINE | {name.lower(): value for name, value in settings.items()},
            )
            async with connect(playing) as link:
                case = await make_case(link.backend)
                await link.backend.start_run(case.id)
                async with working(str(path), "--grace", "0", **settings) as worker:
                    with anyio.fail_after(20):
                        await held.arrived.wait()
                    worker.process.send_signal(sent)
                    worker.process.send_signal(sent)
                    assert f"Stopped by {sent.name}" in await worker.line()
        with closing(sqlite3.connect(path)) as connection:
            [row] = connection.execute("SELECT queue_status, attempts, lease_owner FROM runs")
        assert row == ("pending", 0, None)

    async def test_it_ends_with_an_error_once_a_newer_version_uses_the_database(
        self, database_url: str
    ) -> None:
        database = await open_database(database_url)
        async with connect(starter(database_url)) as link:
            case = await make_case(link.backend)
            async with working(database_url, ends_with=1) as worker:
                newer = {"name": "9999_later", "sha256": ""}
                await database.write(lambda connection: connection.run("add_step", **newer))
                await link.backend.start_run(case.id)
                said = await worker.line()
                while "newer version of mcp-agent-eval" not in said:
                    said = await worker.line()
                assert "Upgrade this worker" in await worker.line()
        await database.aclose()

    def test_where_and_how_much_it_works_is_said(self, tmp_path: Path) -> None:
        with subprocess.Popen(
            command("worker", "--concurrency", "3"),
            env=environment(str(tmp_path / "evals.db")),
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr
            said = process.stderr.readline()
            process.terminate()
        assert said.startswith(f"Working on {tmp_path / 'evals.db'}, up to 3 runs at once")

    def test_what_would_carry_out_nothing_is_refused(self, tmp_path: Path) -> None:
        url = str(tmp_path / "evals.db")
        assert "AGENT_EVAL_MAX_CONCURRENCY is 0" in run(url, "worker", MAX_CONCURRENCY="0", code=1).stderr
        assert "set to hosted" in run(url, "worker", BACKEND="hosted", code=1).stderr
        run(url, "worker", "--concurrency", "0", code=2)
        assert list(tmp_path.iterdir()) == []


class TestPrune:
    async def test_it_says_what_it_would_delete_then_deletes_it(self, database_url: str) -> None:
        await over(database_url, 40, 50, 3)
        would = run(database_url, "prune", "--older-than", "30d", "--dry-run").stdout
        assert would.startswith("2 runs, ended 20")
        assert "nothing was deleted" in would
        assert await runs_in(database_url) == 3
        done = run(database_url, "prune", "--older-than", "30d", "--yes").stdout
        assert done.startswith("Deleted: 2 runs, ended 20")
        assert done.splitlines()[1].startswith(("Compacted", "Not compacted", "Vacuumed"))
        assert await runs_in(database_url) == 1

    async def test_without_anybody_to_ask_it_deletes_nothing(self, tmp_path: Path) -> None:
        url = str(tmp_path / "evals.db")
        await over(url, 40)
        assert "add --yes" in run(url, "prune", "--keep", "0", code=2).stderr
        assert run(url, "prune", "--keep", "0", "--yes").stdout.startswith("Deleted: 1 run, ended 20")
        assert run(url, "prune", "--keep", "0").stdout.startswith("Deleted: no runs.")

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--older-than", "30"],
            ["--older-than", "0d"],
            ["--older-than", "999999w"],
            ["--keep", "-1"],
            ["--keep", "99999999999999999999"],
            ["--keep", "1", "--status", "queued"],
        ],
    )
    def test_a_mistake_in_the_arguments_is_one_of_usage(self, tmp_path: Path, arguments: list[str]) -> None:
        run(str(tmp_path / "evals.db"), "prune", *arguments, code=2)
        assert list(tmp_path.iterdir()) == []

    def test_the_hosted_api_has_nothing_to_prune(self, tmp_path: Path) -> None:
        done = run(str(tmp_path / "evals.db"), "prune", "--keep", "1", BACKEND="hosted", code=1)
        assert "set to hosted" in done.stderr

    def test_where_no_database_is_none_is_made(self, tmp_path: Path, postgres_url: str) -> None:
        done = run(str(tmp_path / "evals.db"), "prune", "--keep", "1", "--dry-run", code=1)
        assert "There is no database" in done.stderr
        assert list(tmp_path.iterdir()) == []
        for _ in range(2):  # neither makes the tables that the other would find
            assert "There are no evals" in run(postgres_url, "prune", "--keep", "1", "--yes", code=1).stderr


class TestBackup:
    async def test_a_copy_is_a_database_as_it_stands(self, tmp_path: Path) -> None:
        url, copy = str(tmp_path / "evals.db"), tmp_path / "copy.db"
        await over(url, 1, 2)
        done = run(url, "backup", str(copy))
        assert done.stdout.startswith(f"Wrote {copy}, 0.")
        address = done.stderr.strip().rpartition("AGENT_EVAL_DATABASE_URL=")[2]
        assert await runs_in(address) == 2
        assert "already exists" in run(url, "backup", str(copy), code=1).stderr

    def test_what_is_not_there_cannot_be_copied(self, tmp_path: Path) -> None:
        done = run(str(tmp_path / "evals.db"), "backup", str(tmp_path / "copy.db"), code=1)
        assert "There is no database" in done.stderr
        assert list(tmp_path.iterdir()) == []


async def over(database_url: str, *days: float) -> None:
    """A run for each, that ended so many days ago."""
    database = await open_database(database_url)
    for day in days:
        ended = {"queue_status": "done", "status": "completed", "ended_at": now() - timedelta(days=day)}
        await queued(database, new_run(**ended))
    await database.aclose()


async def runs_in(database_url: str) -> int:
    database = await open_database(database_url)
    page = await database.read(partial(runs.page, wanted=RunFilter()))
    await database.aclose()
    return page.total
