"""The space of deleted runs comes back, and nobody who works meanwhile is harmed by it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mcp_agent_eval.engine.records.upkeep import Upkeep
from mcp_agent_eval.engine.store import sqlite_file, sqlite_upkeep
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.sqlite_upkeep import compact
from tests.contract.store_support import claim, later, new_run, queued, run
from tests.contract.test_store_sqlite import file_size_limit

LARGE = {"said": "x" * 50_000}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file of several megabytes, most of them free; one run is left in it."""
    file = tmp_path / "evals.db"
    database = await open_database(str(file))
    over = {"queue_status": "done", "status": "completed", "ended_at": later(0)}
    await queued(database, *(new_run(snapshot=LARGE, **over) for _ in range(60)), new_run("kept"))
    care = Upkeep(database, str(file))
    await care.delete(await care.finished(older_than=None, keep=0))
    await database.aclose()
    assert size(file) > 3_000_000
    return file


def size(*files: Path) -> int:
    return sum(file.stat().st_size for file in files)


def written_at(file: Path) -> int:
    return file.stat().st_mtime_ns


async def test_a_file_with_much_free_space_shrinks(path: Path) -> None:
    assert "shrank from 3." in compact(path, None)
    assert size(path) < 500_000
    await assert_whole(path)


async def test_a_file_shrinks_while_others_have_it_open(path: Path) -> None:
    database = await open_database(str(path))
    assert "shrank from 3." in compact(path, None)
    assert size(*path.parent.iterdir()) < 500_000
    assert (await run(database, "kept")).status == "queued"
    assert await queued(database, new_run("after")) == ["after"]
    await database.aclose()


async def test_a_file_with_little_free_space_is_not_written_anew(path: Path) -> None:
    compact(path, None)
    before = written_at(path)
    assert compact(path, None).startswith("Not compacted: only 0.")
    assert written_at(path) == before


async def test_a_file_that_is_locked_stays_as_it_is_and_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "PATIENCE", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "was locked by another process" in compact(path, None)
    await assert_whole(path)


async def test_a_file_that_somebody_reads_all_the_time_is_cut_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_upkeep, "_TO_CUT", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM runs").fetchall()
        assert "when those that use it close it" in compact(path, None)
    await (await open_database(str(path))).aclose()
    assert size(path) < 500_000
    await assert_whole(path)


async def test_it_stops_when_others_would_wait_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_upkeep, "_STEPS", 1)
    said = compact(path, 0.0)
    assert "would wait too long" in said
    assert size(path) > 3_000_000
    await assert_whole(path)


async def test_there_is_a_limit_only_while_runs_are_being_carried_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []
    monkeypatch.setattr(sqlite_upkeep, "compact", lambda _, seconds: limits.append(seconds) or "done")
    database = await open_database(str(path))
    care = Upkeep(database, str(path))
    await care.compact()
    await claim(database)
    await care.compact()
    assert limits == [None, sqlite_file.PATIENCE * 2 / 3]
    await database.aclose()


async def test_without_room_for_it_the_file_stays_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE run_documents SET snapshot = ?", (f'"{"x" * 400_000}"',))
    with file_size_limit(300_000):
        assert "disk is full or failing" in compact(path, None)
    await assert_whole(path)


async def test_a_postgres_server_is_asked_to_tidy_up(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    said = await Upkeep(database, postgres_url).compact()
    await database.aclose()
    assert said.startswith("Vacuumed")


async def assert_whole(path: Path) -> None:
    """The file is no other than it was, but for its size."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database = await open_database(str(path))
    assert (await run(database, "kept")).queue_status == "pending"
    await database.aclose()
