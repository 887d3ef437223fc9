"""A copy of a database that is in use is whole, and takes the place of nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_agent_eval.engine.records.upkeep import back_up
from mcp_agent_eval.engine.store import runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.errors import InvalidInput, NotConfigured, StoreError
from mcp_agent_eval.types import RunFilter
from tests.contract import store_support as support
from tests.contract.store_support import new_run, queued
from tests.contract.test_store_processes import command, next_line, started
from tests.contract.test_store_sqlite import file_size_limit
from tests.postgres import new_database


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where a backup may be made."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "copy"


@pytest.fixture
def restored_url(copy: Path, database_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the backup may be used, once `restore` was called."""
    if not database_url.startswith("postgresql"):
        yield str(copy)
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        yield url


def restore(copy: Path, url: str) -> None:
    """What the docs tell to do with a backup: nothing, or `pg_restore`."""
    if url.startswith("postgresql"):
        subprocess.run([client("pg_restore"), "--no-owner", f"--dbname={url}", copy], check=True)


def client(program: str) -> str:
    """A program of PostgreSQL's clients. In CI they have to be there."""
    found = shutil.which(program)
    if not found and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed here")
    assert found, f"CI needs {program}"
    return found


@pytest.fixture(autouse=True)
def _needs_clients(request: pytest.FixtureRequest) -> None:
    if "postgres" in request.node.name:
        client("pg_dump")


async def count(database: Database, table: str) -> int:
    def work(connection: Connection) -> int:
        return cast(Any, connection).raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    return await database.read(work)


def test_a_mistake_in_an_address_is_told_without_its_password(copy: Path) -> None:
    with pytest.raises(StoreError, match=r"invalid percent-encoded token: \*\*\*") as refused:
        back_up("postgresql://me:s3cret%@host/db", copy)
    assert "s3cret" not in str(refused.value)
    assert not copy.exists()


class TestOfBoth:
    async def test_it_can_be_opened_and_holds_everything(
        self, database_url: str, restored_url: str, copy: Path
    ) -> None:
        database = await open_database(database_url)
        await queued(database, new_run("one", snapshot={"said": "\ud800\0 or so"}), new_run("two"))
        back_up(database_url, copy)
        await queued(database, new_run("after"))
        await database.aclose()
        restore(copy, restored_url)
        restored = await open_database(restored_url)
        page = await restored.read(partial(runs.page, wanted=RunFilter()))
        assert {run.id for run in page.data} == {"one", "two"}
        assert await restored.read(partial(runs.snapshot, id="one")) == {"said": "\ud800\0 or so"}
        assert await queued(restored, new_run("new")) == ["new"]
        await restored.aclose()

    async def test_it_holds_one_state_of_a_database_that_another_process_writes_to(
        self, database_url: str, restored_url: str, copy: Path
    ) -> None:
        async with await started(command("write", database_url)) as process:
            assert process.stdout
            output = BufferedByteReceiveStream(process.stdout)
            committed = {(await next_line(output)).strip() for _ in range(200)}
            back_up(database_url, copy)
            process.kill()
        restore(copy, restored_url)
        restored = await open_database(restored_url)
        for id in committed:
            assert (await support.run(restored, id)).status == "queued"
        assert await count(restored, "runs") == await count(restored, "run_documents")
        await restored.aclose()

    async def test_it_is_for_its_owner_alone_and_nothing_is_left_beside_it(
        self, database_url: str, copy: Path
    ) -> None:
        await (await open_database(database_url)).aclose()
        back_up(database_url, copy)
        assert modes(copy.parent) == {"copy": 0o600}

    def test_a_file_that_is_there_is_left_as_it_is(self, database_url: str, copy: Path) -> None:
        copy.write_text("my only copy")
        with pytest.raises(InvalidInput, match="already exists"):
            back_up(database_url, copy)
        assert copy.read_text() == "my only copy"

    def test_a_folder_that_is_not_there_is_named(self, database_url: str, copy: Path) -> None:
        with pytest.raises(InvalidInput, match=r"missing/copy cannot be written: No such file"):
            back_up(database_url, copy.parent / "missing" / "copy")


class TestOfAFile:
    async def test_a_full_disk_leaves_no_partial_copy(self, tmp_path: Path, copy: Path) -> None:
        path = await filled(tmp_path)
        with file_size_limit(200_000), pytest.raises(StoreError, match="backups/copy cannot be written"):
            back_up(str(path), copy)
        assert list(copy.parent.iterdir()) == []

    async def test_a_damaged_file_is_said_to_be_and_gives_no_copy(self, tmp_path: Path, copy: Path) -> None:
        path = await filled(tmp_path)
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
        with pytest.raises(StoreError, match=r"evals\.db is not a database, or is damaged"):
            back_up(str(path), copy)
        assert list(copy.parent.iterdir()) == []

    def test_a_database_that_was_never_used_is_not_made(self, tmp_path: Path, copy: Path) -> None:
        with pytest.raises(StoreError, match="There is no database"):
            back_up(str(tmp_path / "evals.db"), copy)
        assert not (tmp_path / "evals.db").exists()
        assert list(copy.parent.iterdir()) == []

    def test_the_database_of_another_program_is_not_copied(self, tmp_path: Path, copy: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "theirs.db")) as connection:
            connection.execute("CREATE TABLE songs (title TEXT)")
        with pytest.raises(StoreError, match="another program"):
            back_up(str(tmp_path / "theirs.db"), copy)

    async def test_a_database_of_a_newer_version_can_be_copied(self, tmp_path: Path, copy: Path) -> None:
        path = await filled(tmp_path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO schema_steps VALUES ('9999_future', 'x')")
        back_up(str(path), copy)
        assert list(copy.parent.iterdir()) == [copy]


class TestOfPostgres:
    def test_without_pg_dump_it_is_named(
        self, postgres_url: str, copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(NotConfigured, match="pg_dump, which is not on the PATH"):
            back_up(postgres_url, copy)
        assert not copy.exists()

    def test_what_pg_dump_complains_of_is_passed_on_without_the_password(self, copy: Path) -> None:
        with pytest.raises(
            StoreError, match=r"me:\*\*\*@127.0.0.1:1/db. pg_dump: error: .*refused"
        ) as caught:
            back_up("postgresql://me:s3cret@127.0.0.1:1/db", copy)
        assert "s3cret" not in str(caught.value)
        assert list(copy.parent.iterdir()) == []

    def test_others_on_the_machine_do_not_see_the_password(
        self, tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for pg_dump writes down how it was called."""
        program, seen = tmp_path / "pg_dump", tmp_path / "seen"
        program.write_text(f'#!/bin/sh\necho "$@" > {seen}\necho "$PGPASSWORD" >> {seen}\n')
        program.chmod(0o700)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        back_up("postgresql://me:s3cret%20word@db.example.com/evals?sslmode=require&sslpassword=k3y", copy)
        arguments, password = seen.read_text().splitlines()
        assert password == "s3cret word"
        assert "s3cret" not in arguments
        assert "k3y" not in arguments
        assert all(part in arguments for part in ("user=me", "host=db.example.com", "sslmode=require"))


def modes(folder: Path) -> dict[str, int]:
    """What is in a folder, and who may do what with it."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def filled(folder: Path) -> Path:
    """A database with a good deal in it."""
    path = folder / "evals.db"
    database = await open_database(str(path))
    await queued(database, *(new_run(snapshot={"x": "y" * 10_000}) for _ in range(100)))
    await database.aclose()
    return path
