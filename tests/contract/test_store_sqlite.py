"""What only a SQLite file can do wrong, and how the user hears of it."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from mcp_agent_eval.engine.store import file_systems, runs, sqlite, sqlite_file
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.runs import NewRun
from mcp_agent_eval.engine.store.sqlite import SqliteConnection, SqliteDatabase, open_sqlite
from mcp_agent_eval.engine.store.sqlite_file import as_store_error, locate
from mcp_agent_eval.errors import StoreError, StoreTooNew
from mcp_agent_eval.types import RunFilter
from tests.contract.store_support import Background, Pause, new_run, queued


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "evals.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await open_sqlite(path)
    yield opened
    await opened.aclose()


def raw(connection: Connection) -> sqlite3.Connection:
    return cast(SqliteConnection, connection).raw


class TestAddresses:
    def test_a_path_and_an_address_mean_the_same_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", "/home/dana")
        assert locate("sqlite:///evals.db") == locate("evals.db") == tmp_path / "evals.db"
        assert locate("sqlite:////data/evals.db") == locate(Path("/data/evals.db")) == Path("/data/evals.db")
        assert locate("sqlite:///~/evals.db") == Path("/home/dana/evals.db")

    @pytest.mark.parametrize(
        "address",
        [
            "",
            ":memory:",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite://",
            "sqlite:evals.db",
            "SQLITE:evals.db",
            "file:evals.db",
            "file:/data/evals.db?mode=ro",
            "postgresql://h/db",
            "~nobody-of-this-name/evals.db",
            "x" * 300,
        ],
    )
    def test_what_is_no_file_is_refused(self, address: str) -> None:
        with pytest.raises(StoreError) as refused:
            locate(address)
        assert refused.value.hint

    @pytest.mark.parametrize(
        "pairs", ["host=h password=s3cret dbname=evals", "dbname = evals", "PASSWORD='s3 cret' host=h"]
    )
    def test_libpqs_key_value_pairs_are_not_taken_for_a_file(self, pairs: str) -> None:
        with pytest.raises(StoreError, match="key=value") as refused:
            locate(pairs)
        assert "postgresql://user:password@host" in str(refused.value.hint)
        assert "cret" not in f"{refused.value}{refused.value.hint}"

    def test_a_sign_of_equality_in_a_name_is_only_that(self) -> None:
        assert locate("/data/team=a.db") == Path("/data/team=a.db")


class TestOpening:
    async def test_the_folder_and_the_files_are_for_their_owner_alone(
        self, path: Path, database: SqliteDatabase
    ) -> None:
        await queued(database, new_run())
        modes = {
            file.name: stat.S_IMODE(file.stat().st_mode) for file in [path.parent, *path.parent.iterdir()]
        }
        assert modes == {"folder": 0o700, "evals.db": 0o600, "evals.db-wal": 0o600, "evals.db-shm": 0o600}

    async def test_what_was_written_is_there_when_it_is_opened_again(self, path: Path) -> None:
        for attempt in range(2):
            database = await open_sqlite(f"sqlite:///{path}")
            await queued(database, new_run(f"run {attempt}"))
            await database.aclose()
        database = await open_sqlite(path)
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 2
        await database.aclose()

    async def test_a_file_that_is_no_database_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("these are my notes, and no database at all. " * 100)
        await _refused(path, "not a database")
        assert path.read_text().startswith("these are my notes")

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE songs (title TEXT)",
            "CREATE VIEW songs AS SELECT 1 AS title",
            "CREATE TABLE schema_steps (title TEXT)",
        ],
    )
    async def test_the_database_of_another_program_is_left_as_it_is(
        self, tmp_path: Path, statement: str
    ) -> None:
        path = tmp_path / "theirs.db"
        _execute(path, statement)
        before = path.read_bytes()
        await _refused(path, "another program")
        assert path.read_bytes() == before

    async def test_a_folder_is_no_database(self, tmp_path: Path) -> None:
        await _refused(tmp_path, "cannot be opened")

    async def test_a_device_and_a_pipe_are_no_database(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        await _refused(tmp_path / "pipe", "cannot be opened for writing: it is not a file")
        await _refused(Path("/dev/null"), "cannot be opened for writing: it is not a file")

    async def test_a_name_that_leads_nowhere_is_an_error_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "circle").symlink_to(tmp_path / "circle")
        await _refused(tmp_path / "circle", "symbolic links")
        await _refused(tmp_path / "circle" / "evals.db", "The folder")

    async def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        await _refused(tmp_path / "file" / "folder" / "evals.db", str(tmp_path / "file" / "folder"))

    async def test_a_newer_database_is_refused_and_says_what_is_unknown(self, path: Path) -> None:
        await (await open_sqlite(path)).aclose()
        _execute(path, "INSERT INTO schema_steps VALUES ('0099_future', 'x')")
        with pytest.raises(StoreTooNew, match="0099_future") as refused:
            await open_sqlite(path)
        assert "Upgrade" in (refused.value.hint or "")

    async def test_a_step_that_was_edited_after_it_was_taken_is_noticed(self, path: Path) -> None:
        await (await open_sqlite(path)).aclose()
        _execute(path, "UPDATE schema_steps SET sha256 = 'x'")
        await _refused(path, "0001_initial")

    async def test_a_damaged_file_is_said_to_be(self, path: Path) -> None:
        database = await open_sqlite(path)
        await queued(database, *(new_run() for _ in range(200)))
        await database.aclose()
        _damage(path)
        with pytest.raises(StoreError, match="damaged"):
            async with open_for_a_while(path) as database:
                await database.read(partial(runs.page, wanted=RunFilter()))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
    async def test_a_read_only_file_is_refused(self, path: Path) -> None:
        await (await open_sqlite(path)).aclose()
        os.chmod(path, 0o400)
        await _refused(path, "cannot be opened for writing")

    async def test_a_file_on_a_network_is_refused_and_nothing_is_made_there(
        self, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mounts = tmp_path / "mountinfo"
        mounts.write_text(f"1 0 0:1 / {path.parent} rw - nfs4 server:/export rw\n")
        monkeypatch.setattr(file_systems, "_MOUNTS", mounts)
        with pytest.raises(StoreError, match=r"on a network \(nfs4\)") as refused:
            await open_sqlite(path)
        assert "local disk, or a PostgreSQL server" in (refused.value.hint or "")
        assert not path.parent.exists()

    async def test_a_file_where_processes_can_share_no_memory_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite's own stand-in for such a file system stays in its old mode without a word."""
        plain = sqlite3.connect

        def without_shared_memory(path: Path, **more: Any) -> sqlite3.Connection:
            return plain(f"file:{path}?vfs=unix-dotfile", uri=True, **more)

        monkeypatch.setattr(sqlite3, "connect", without_shared_memory)
        await _refused(path, "without shared memory maps or locks")

    async def test_too_old_a_sqlite_is_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
        await _refused(path, "too old")


class TestFailures:
    async def test_a_full_database_fails_who_needs_more_room_and_nobody_else(
        self, database: SqliteDatabase
    ) -> None:
        big = new_run(snapshot={"x": "y" * 1_000_000})
        await database.write(
            lambda connection: raw(connection).execute("PRAGMA max_page_count = 200").close()
        )
        small, large, last = await _committed_together(
            database, *(inserts(one) for one in (new_run(), big, new_run()))
        )
        assert (small, last) == (None, None)
        assert "disk is full" in str(large)
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 2

    async def test_a_disk_that_takes_no_more_fails_the_write_and_the_next_one_works(
        self, database: SqliteDatabase
    ) -> None:
        with file_size_limit(400_000), pytest.raises(StoreError, match="disk is full or failing"):
            await queued(database, new_run(snapshot={"x": "y" * 1_000_000}))
        await queued(database, new_run("small"))
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 1

    async def test_a_unit_that_loses_the_whole_transaction_takes_nobody_with_it(
        self, database: SqliteDatabase
    ) -> None:
        def lose(connection: Connection) -> None:
            raw(connection).execute("ROLLBACK")  # as SQLite does when the disk fails
            raise sqlite3.OperationalError("disk I/O error")

        errors = await _committed_together(database, inserts(new_run()), lose, inserts(new_run()))
        assert [type(error) for error in errors] == [type(None), StoreError, type(None)]
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 2

    async def test_a_lock_that_is_held_too_long_is_an_error_and_passes(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "PATIENCE", 0.05)
        database = await open_sqlite(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            await queued(database, new_run())
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 0
        other.execute("ROLLBACK")
        await queued(database, new_run())
        other.close()
        await database.aclose()

    async def test_a_new_file_that_another_process_keeps_locked_is_said_to_be(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "PATIENCE", 0.05)
        other = sqlite3.connect(tmp_path / "evals.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await _refused(tmp_path / "evals.db", "locked by another process")
        other.close()

    def test_a_read_only_database_is_called_that(self, path: Path, tmp_path: Path) -> None:
        _execute(tmp_path / "evals.db", "CREATE TABLE t (x)")
        connection = sqlite3.connect(f"file:{tmp_path / 'evals.db'}?mode=ro", uri=True)
        with pytest.raises(sqlite3.OperationalError) as refused:
            connection.execute("INSERT INTO t VALUES (1)")
        connection.close()
        assert "read-only" in as_store_error(refused.value, path).message

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            (sqlite3.SQLITE_IOERR_SHMMAP, "without shared memory maps or locks"),
            (sqlite3.SQLITE_IOERR_SHMOPEN, "without shared memory maps or locks"),
            (sqlite3.SQLITE_IOERR_SHMSIZE, "disk is full or failing"),
            (sqlite3.SQLITE_IOERR_WRITE, "disk is full or failing"),
            (sqlite3.SQLITE_PROTOCOL, "could not be locked"),
            (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
            (sqlite3.SQLITE_READONLY_DBMOVED, "read-only"),
        ],
    )
    def test_each_error_of_sqlite_is_told_for_what_it_is(self, path: Path, code: int, said: str) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        assert said in as_store_error(error, path).message

    async def test_an_error_carries_nothing_of_what_was_to_be_stored(self, database: SqliteDatabase) -> None:
        await queued(database, new_run("same"))
        with pytest.raises(StoreError) as refused:
            await queued(database, new_run("same", snapshot={"said": "a secret"}))
        assert "secret" not in str(refused.value)
        assert "same" not in str(refused.value)

    @pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyError])
    async def test_whatever_a_unit_of_work_raises_the_others_are_answered(
        self, database: SqliteDatabase, error: type[BaseException]
    ) -> None:
        def work(_: Connection) -> None:
            raise error

        with pytest.raises((error, RuntimeError)):
            await database.write(work)
        with pytest.raises((error, RuntimeError)):
            await database.read(work)
        await queued(database, new_run())


async def test_nothing_changes_where_nobody_writes(path: Path, database: SqliteDatabase) -> None:
    before = await database.changes()
    await database.read(partial(runs.page, wanted=RunFilter()))
    assert await database.changes() == before
    other = await open_sqlite(path)
    await other.write(lambda connection: connection.run("add_step", name="another", sha256=""))
    assert await database.changes() != before
    await other.aclose()


class TestClosing:
    async def test_closing_finishes_what_was_handed_over(self, path: Path) -> None:
        database, pause = await open_sqlite(path), Pause()
        async with anyio.create_task_group() as tasks, pause:
            Background(tasks, database.write(lambda _: pause.here()))
            await pause.reached()
            written = [Background(tasks, queued(database, new_run())) for _ in range(200)]
            await anyio.wait_all_tasks_blocked()
            closing = Background(tasks, database.aclose())
        assert {one.error for one in [*written, closing]} == {None}
        database = await open_sqlite(path)
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 200
        await database.aclose()

    async def test_nothing_is_left_of_a_closed_database_but_its_file(self, path: Path) -> None:
        database = await open_sqlite(path)
        await queued(database, new_run())
        assert len(store_threads()) == 2
        await database.aclose()
        await database.aclose()
        assert store_threads() == []
        assert [file.name for file in path.parent.iterdir()] == ["evals.db"]

    async def test_a_closed_database_says_so(self, path: Path) -> None:
        database = await open_sqlite(path)
        await database.aclose()
        calls: list[Callable[[], object]] = [
            database.changes,
            partial(database.read, len),
            partial(database.write, len),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="closed"):
                await call()

    async def test_a_failed_opening_leaves_no_thread(self, tmp_path: Path) -> None:
        await _refused(tmp_path, "cannot be opened")
        assert store_threads() == []

    async def test_an_opening_that_fails_half_way_leaves_no_thread(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Path) -> SqliteConnection:
            raise StoreError("no second connection")

        monkeypatch.setattr(sqlite, "_open_reader", fail)
        await _refused(path, "no second connection")
        assert store_threads() == []

    async def test_closing_is_not_cut_short_by_a_cancel(self, path: Path) -> None:
        database = await open_sqlite(path)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await database.aclose()
        assert store_threads() == []


def store_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("evals-")]


def inserts(new: NewRun) -> Callable[[Connection], None]:
    return partial(runs.insert, new=[new])


@contextmanager
def file_size_limit(octets: int) -> Iterator[None]:
    """The nearest thing to a full disk that needs no disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def _committed_together(
    database: SqliteDatabase, *works: Callable[[Connection], None]
) -> list[Exception | None]:
    """What each of the works raised, in one transaction."""
    pause = Pause()
    async with anyio.create_task_group() as tasks, pause:
        Background(tasks, database.write(lambda _: pause.here()))
        await pause.reached()
        waiting = [Background(tasks, database.write(work)) for work in works]
        await anyio.wait_all_tasks_blocked()
    return [one.error for one in waiting]


async def _refused(path: Path, why: str) -> None:
    with pytest.raises(StoreError) as refused:
        await open_sqlite(path)
    assert why in refused.value.message


@asynccontextmanager
async def open_for_a_while(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = await open_sqlite(path)
    try:
        yield database
    finally:
        await database.aclose()


def _damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))


def _execute(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()
