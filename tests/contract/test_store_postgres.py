"""What only a PostgreSQL server can do wrong, and how the user hears of it."""

from __future__ import annotations

import asyncio
import gc
import random
import string
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.to_thread
import psycopg
import pytest
from psycopg import errors

from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.store import postgres, postgres_server, queue, runs
from mcp_agent_eval.engine.store.addresses import shown
from mcp_agent_eval.engine.store.database import QUEUE, Connection
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.postgres import PostgresDatabase, open_postgres
from mcp_agent_eval.engine.store.postgres_server import explained, is_away
from mcp_agent_eval.engine.store.units import InDoubt
from mcp_agent_eval.errors import StoreError, StoreTooNew
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import AgentDraft, RunFilter
from tests.contract.store_support import (
    Background,
    Pause,
    agent,
    claim,
    finish,
    new_run,
    new_suite_run,
    queued,
    run,
    stored,
)
from tests.postgres import own_server


class Ear:
    """Collects what is told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._event = anyio.Event()

    def hear(self, name: str) -> None:
        self.names.append(name)
        self._event.set()

    async def until(self, name: str) -> None:
        with anyio.fail_after(10):
            while name not in self.names:
                self._event = anyio.Event()
                await self._event.wait()


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    opened = await open_postgres(postgres_url, lambda _: None)
    yield opened
    await opened.aclose()


def store_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("evals-")]


def sql(url: str, statement: str) -> list[Any]:
    """What somebody else does on the server."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)  # pyright: ignore
        return cursor.fetchall() if cursor.description else []


def drop_our_connections(url: str) -> None:
    sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mcp-agent-eval'",
    )


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
            (
                "postgresql://host/db?user=me&password=s3cret&x=1",
                "postgresql://host/db?user=me&password=***&x=1",
            ),
            ("postgresql://me@host:5433/db", "postgresql://me@host:5433/db"),
            ("postgresql://host:5433/db?user=me@corp", "postgresql://host:5433/db?user=me@corp"),
            ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
            ("postgresql://me:s3/cr@et@host/db", "postgresql://me:***@host/db"),
            ("postgresql://me:33/cret@host/db", "postgresql://me:***@host/db"),
            ("postgresql://me:s3?cret@host/db", "postgresql://me:***@host/db"),
            (
                "postgresql://host/db?sslpassword=s3cret&sslmode=require",
                "postgresql://host/db?sslpassword=***&sslmode=require",
            ),
            ("host=h password = 's3 cret' dbname=db", "host=h password = *** dbname=db"),
        ],
    )
    def test_an_address_is_shown_without_its_password(self, url: str, expected: str) -> None:
        assert shown(url) == expected

    @pytest.mark.parametrize(
        ("address", "reason", "hint"),
        [
            ("postgresql://127.0.0.1:abc/db", 'with this address: invalid integer value "abc"', "%2F"),
            ("postgresql://127.0.0.1:1/db?sslmode=bad", 'address: invalid sslmode value: "bad"', "Correct"),
            (
                "postgresql://127.0.0.1:1/db?bogus=1",
                'address: invalid URI query parameter: "bogus"',
                "Correct",
            ),
            ("postgresql://me:s3cret%@127.0.0.1:1/db", "address: invalid percent-encoded token: ***", "%25"),
            ("postgresql://me:s3/cret@127.0.0.1:1/db", "cannot be reached with this address", "%2F"),
            (
                "postgresql://me:a@s3cret@h/db",
                "its host is unknown here: failed to resolve host ***",
                "%40",
            ),
        ],
    )
    async def test_a_mistake_in_an_address_is_told_in_the_drivers_words_without_its_password(
        self, address: str, reason: str, hint: str
    ) -> None:
        with pytest.raises(StoreError) as caught:
            await open_database(address)
        assert reason in caught.value.message
        assert hint in str(caught.value.hint)
        assert "s3" not in f"{caught.value}{caught.value.hint}"

    async def test_a_server_without_tls_says_so_where_the_address_asks_for_it(self) -> None:
        async def without_tls(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(b"N")

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, without_tls)
                with pytest.raises(
                    StoreError, match=r"over TLS as the address requires.*SSL was required"
                ) as caught:
                    await open_database(f"postgresql://me@127.0.0.1:{port}/db?sslmode=require")
                tasks.cancel_scope.cancel()
        assert "sslmode" in str(caught.value.hint)

    async def test_a_server_that_is_not_there_is_named_without_the_password(self) -> None:
        with pytest.raises(
            StoreError, match=r"postgresql://me:\*\*\*@127.0.0.1:1/db does not answer"
        ) as caught:
            await open_database("postgresql://me:s3cret@127.0.0.1:1/db")
        assert "s3cret" not in f"{caught.value}{caught.value.hint}"
        assert store_threads() == []

    async def test_a_database_that_is_not_there_is_told_from_a_server_that_is_not(
        self, postgres: str
    ) -> None:
        with pytest.raises(StoreError, match="does not exist on this server") as caught:
            await open_database(urlsplit(postgres)._replace(path="/nothing").geturl())
        assert "createdb" in str(caught.value.hint)

    async def test_without_the_driver_the_extra_is_named(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
        with pytest.raises(Exception, match="needs a driver") as caught:
            await open_database(postgres_url)
        assert "mcp-agent-eval[postgres]" in caught.value.hint  # type: ignore[attr-defined]


class TestSchema:
    async def test_our_tables_stand_beside_those_of_another_program(self, postgres_url: str) -> None:
        sql(postgres_url, "CREATE TABLE runs (theirs text)")
        database = await open_database(postgres_url)
        assert await queued(database, new_run("ours")) == ["ours"]
        await database.aclose()
        assert sql(postgres_url, "SELECT count(*) FROM public.runs") == [(0,)]

    async def test_a_newer_database_is_refused_and_says_what_is_unknown(self, postgres_url: str) -> None:
        await (await open_database(postgres_url)).aclose()
        sql(postgres_url, "INSERT INTO agent_eval.schema_steps VALUES ('9999_later', 'x')")
        with pytest.raises(StoreTooNew, match="9999_later"):
            await open_database(postgres_url)
        assert store_threads() == []

    async def test_a_user_who_may_not_make_the_schema_is_told_what_its_owner_can_do(
        self, postgres_url: str
    ) -> None:
        name = urlsplit(postgres_url).path[1:]
        sql(postgres_url, f"CREATE ROLE u{name}; GRANT u{name} TO postgres")
        poor = f"{postgres_url}&options=-crole%3Du{name}"
        with pytest.raises(StoreError, match="may not be used in this way") as caught:
            await open_database(poor)
        assert "CREATE SCHEMA agent_eval AUTHORIZATION" in str(caught.value.hint)
        sql(postgres_url, f"DROP ROLE u{name}")

    async def test_a_user_for_whom_the_owner_made_the_schema_needs_no_other_right(
        self, postgres_url: str
    ) -> None:
        name = urlsplit(postgres_url).path[1:]
        sql(postgres_url, f"CREATE ROLE u{name}; CREATE SCHEMA agent_eval AUTHORIZATION u{name}")
        database = await open_database(f"{postgres_url}&options=-crole%3Du{name}")
        assert await queued(database, new_run("ours")) == ["ours"]
        await database.aclose()
        sql(postgres_url, f"DROP SCHEMA agent_eval CASCADE; DROP ROLE u{name}")


class TestTelling:
    async def test_what_one_process_tells_the_others_hear(self, postgres_url: str) -> None:
        ear = Ear()
        hearing = await open_postgres(postgres_url, ear.hear)
        telling = await open_database(postgres_url)
        await ear.until("")
        await queued(telling, new_run("one"))
        await ear.until(QUEUE)
        (mine,) = await claim(telling)
        await finish(telling, mine)
        await ear.until("one")
        await telling.aclose()
        await hearing.aclose()

    async def test_what_is_undone_is_not_told(self, postgres_url: str) -> None:
        ear = Ear()
        database = await open_postgres(postgres_url, ear.hear)
        await ear.until("")

        def work(connection: Connection) -> None:
            connection.tell("undone")
            raise LookupError

        with pytest.raises(LookupError):
            await database.write(work)
        await database.write(lambda connection: connection.tell("done"))
        await ear.until("done")
        assert "undone" not in ear.names
        await database.aclose()

    async def test_a_connection_that_was_lost_hears_again_and_says_that_it_may_have_missed_something(
        self, postgres_url: str
    ) -> None:
        ear = Ear()
        database = await open_postgres(postgres_url, ear.hear)
        await ear.until("")
        ear.names.clear()
        drop_our_connections(postgres_url)
        await ear.until("")
        await database.write(lambda connection: connection.tell("again"))
        await ear.until("again")
        await database.aclose()


class TestSideBySide:
    async def test_who_writes_alone_shuts_out_others_in_other_connections(self, postgres_url: str) -> None:
        first, second = await open_database(postgres_url), await open_database(postgres_url)
        async with anyio.create_task_group() as tasks, Pause() as pause:
            slow = Background(tasks, first.write(lambda _: pause.here()))
            await pause.reached()
            waiting = Background(tasks, second.write(lambda _: "through"))
            # What belongs to a claimed run waits for nobody.
            assert await second.write_own(lambda _: "at once") == "at once"
            assert waiting.value is None
        assert (slow.error, waiting.value) == (None, "through")
        await first.aclose()
        await second.aclose()

    async def test_a_lock_that_is_held_too_long_is_an_error_and_passes(
        self, postgres_url: str, database: PostgresDatabase
    ) -> None:
        def impatient(connection: Any) -> None:
            connection.raw.execute("SET lock_timeout TO '50ms'")

        await database.write(impatient)
        with psycopg.connect(postgres_url) as other:
            other.execute(f"SELECT pg_advisory_xact_lock({postgres._LOCK})")
            with pytest.raises(StoreError, match="locked by another process"):
                await database.write(len)
        assert await queued(database, new_run("one")) == ["one"]

    async def test_who_stands_still_in_a_transaction_is_passed_by(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_server, "STALL", 0.3)
        stopped, other = await open_database(postgres_url), await open_database(postgres_url)
        async with anyio.create_task_group() as tasks, Pause() as pause:

            def stall(connection: Connection) -> None:
                runs.insert(connection, [new_run("stopped")])
                pause.here()

            woken = Background(tasks, stopped.write(stall))
            await pause.reached()
            assert await queued(other, new_run("other")) == ["other"]
        # What it had not committed was undone, and done again when it woke up.
        assert woken.error is None
        assert (await run(other, "stopped")).status == "queued"
        await stopped.aclose()
        await other.aclose()

    async def test_what_collides_is_done_again_and_done_once(self, database: PostgresDatabase) -> None:
        tries: list[int] = []

        def work(connection: Connection) -> None:
            runs.insert(connection, [new_run("one")])
            tries.append(1)
            if len(tries) < 3:
                raise errors.DeadlockDetected

        await database.write(work)
        assert len(tries) == 3
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 1

    async def test_what_always_collides_is_given_up(self, database: PostgresDatabase) -> None:
        def work(_: Connection) -> None:
            raise errors.SerializationFailure("over and over")

        with pytest.raises(StoreError):
            await database.write(work)


class TestLosses:
    async def test_a_connection_that_was_cut_is_made_again(
        self, postgres_url: str, database: PostgresDatabase
    ) -> None:
        await queued(database, new_run("before"))
        drop_our_connections(postgres_url)
        assert (await run(database, "before")).status == "queued"
        (mine,) = await claim(database)
        drop_our_connections(postgres_url)
        assert await finish(database, mine)
        assert await queued(database, new_run("after")) == ["after"]

    async def test_a_server_that_restarts_is_waited_for(self) -> None:
        with own_server() as server:
            database = await open_database(server.url("postgres"))
            await queued(database, new_run("before"))
            await anyio.to_thread.run_sync(server.stop, "fast")
            async with anyio.create_task_group() as tasks:
                waiting = Background(tasks, run(database, "before"))
                await anyio.wait_all_tasks_blocked()
                await anyio.to_thread.run_sync(server.start)
            assert waiting.value.id == "before"
            assert await queued(database, new_run("after")) == ["after"]
            await database.aclose()

    async def test_a_server_that_does_not_come_back_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "PATIENCE", 0.1)
        with own_server() as server:
            database = await open_database(server.url("postgres"))
            await anyio.to_thread.run_sync(server.stop, "fast")
            with pytest.raises(StoreError, match="does not answer, or was lost"):
                await run(database, "any")
            await database.aclose()
        assert store_threads() == []

    async def test_a_server_that_is_gone_is_left_without_a_word(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "PATIENCE", 0.1)
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        with own_server() as server:
            database = await open_database(server.url("postgres"))
            await anyio.to_thread.run_sync(server.stop, "fast")
            await database.aclose()
        gc.collect()
        assert complaints == []

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("connection failed: fe_sendauth: no password supplied", False),
            ("connection is bad: invalid sslmode value", False),
            ("connection failed: FATAL:  something else", False),
            ("connection failed: FATAL:  the database system is starting up", True),
            ("failed to resolve host 'db'", True),
            ("connection failed: Connection refused", True),
            ("the connection is lost", True),
        ],
    )
    def test_only_what_may_pass_by_itself_is_waited_for(self, said: str, expected: bool) -> None:
        assert is_away(psycopg.OperationalError(said)) is expected

    async def test_a_commit_that_nobody_knows_of_is_not_done_again(
        self, postgres_url: str, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost_in_commit(connection: Any) -> None:
            runs.insert(connection, [new_run("one")])
            monkeypatch.setattr(connection, "raw", _LosesCommits(connection.raw))

        with pytest.raises(InDoubt, match="may or may not have happened"):
            await database.write(lost_in_commit)
        assert (await run(database, "one")).status == "queued"


class _LosesCommits:
    """A connection whose server commits, and is gone before it can say so."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, statement: str, *rest: Any) -> Any:
        done = self._raw.execute(statement, *rest)
        if statement == "COMMIT":
            self._raw.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.DiskFull(), "its disk is full"),
        (errors.ReadOnlySqlTransaction(), "is read-only"),
        (errors.TooManyConnections(), "no connection left"),
        (errors.InvalidPassword(), "refuses this user"),
        (
            psycopg.OperationalError("fe_sendauth: no password supplied"),
            "refuses this user: fe_sendauth: no pass",
        ),
    ],
)
def test_what_the_server_says_is_told_in_words_to_act_on(error: psycopg.Error, expected: str) -> None:
    assert expected in str(explained(error, "postgresql://host/db"))


async def test_the_longest_names_and_addresses_fit_into_the_indexes(database: PostgresDatabase) -> None:
    draw = random.Random(1).choices  # what repeats itself would be compressed

    def some(characters: str, length: int) -> str:
        return "".join(draw(characters, k=length))

    visible = string.ascii_letters + string.digits + string.punctuation
    path = string.ascii_letters + string.digits + "-._~/"
    models = Models(
        Settings.read(
            OPENAI_BASE_URL=f"https://{some(path, 292)}",
            ANTHROPIC_BASE_URL=f"https://{some(path, 292)}",
            max_concurrency=0,
        )
    )
    names = [
        f"openai:{some(visible, 493)}",
        f"openai:{some(visible, 493)}",
        f"anthropic:{some(visible, 490)}",
    ]
    for name in names:
        AgentDraft(name="A", system_prompt="x", model=name)
    needs = tuple(sorted(models.lane(models.name_for("agent", name)) for name in names))
    key = some("😀🐍🦆🎈", 200)
    of = await new_suite_run(database, idempotency_key=key)
    await queued(database, new_run("one", suite_run_id=of, needs=needs, idempotency_key=key))
    assert len(await claim(database, offers=needs)) == 1
    await stored(database, agent(name=some("ΐΰὒὖᾶῒΐῖῗῢΰῦῧᾷ", 400)))


async def test_an_error_carries_nothing_of_what_was_to_be_stored(database: PostgresDatabase) -> None:
    await queued(database, new_run("private-id"))
    with pytest.raises(StoreError) as caught:
        await queued(database, new_run("private-id"))
    assert "private-id" not in str(caught.value)


async def test_a_closed_database_says_so_and_leaves_no_thread(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    await database.write(partial(queue.reap, now=new_run().run.created_at, most_attempts=3))
    await database.aclose()
    await database.aclose()
    with pytest.raises(StoreError, match="was closed"):
        await database.read(len)
    assert store_threads() == []
