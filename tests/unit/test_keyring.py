"""Keys are shown once, kept as hashes, and good until they end or are revoked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_agent_eval.backend.keyring import open_keyring
from mcp_agent_eval.engine.records.keyring import Keyring
from mcp_agent_eval.engine.store import keys
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from mcp_agent_eval.errors import (
    AmbiguousReference,
    EvalError,
    ExpiredKey,
    InvalidInput,
    InvalidKey,
    NotConfigured,
    NotFound,
)
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types.key import SCOPES, ApiKey

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_sqlite(tmp_path / "evals.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def keyring(database: Database, clock: Clock) -> Keyring:
    return Keyring(database, clock=clock)


async def with_id(database: Database, id: str, name: str = "ci") -> None:
    """A key with an id of our choice."""
    key = ApiKey(id=id, name=name, hint="aek_abcd", scopes=SCOPES, created_at=NOON)
    await database.write(partial(keys.insert, key=key, secret_hash=id))


class TestCreating:
    async def test_a_new_key_opens_with_its_secret(self, keyring: Keyring) -> None:
        key, secret = await keyring.create("ci", ["agent_eval:read", "agent_eval:run"], NOON + HOUR)
        assert await keyring.check(secret) == key
        assert (key.name, key.scopes) == ("ci", ("agent_eval:read", "agent_eval:run"))
        assert (key.created_at, key.expires_at, key.revoked_at) == (NOON, NOON + HOUR, None)

    async def test_a_secret_is_long_random_and_begins_with_its_hint(self, keyring: Keyring) -> None:
        made = [await keyring.create("ci") for _ in range(3)]
        assert len({secret for _, secret in made}) == 3
        for key, secret in made:
            assert secret.startswith("aek_")
            assert len(secret) == 4 + 43
            assert key.hint == secret[:8]

    async def test_scopes_are_all_of_them_unless_said_and_each_counts_once(self, keyring: Keyring) -> None:
        everything, _ = await keyring.create("all")
        assert everything.scopes == SCOPES
        twice, _ = await keyring.create("twice", ["agent_eval:read", "agent_eval:read"])
        assert twice.scopes == ("agent_eval:read",)

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"name": "  "}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "\x1b[2J"}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["agent_eval:everything"]}, "scopes"),
            ({"expires_at": NOON}, "expires_at"),
            ({"expires_at": datetime(2030, 1, 1)}, "expires_at"),
        ],
    )
    async def test_a_key_that_could_not_serve_is_refused(
        self, keyring: Keyring, wrong: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(InvalidInput, match=rf"^{named}"):
            await keyring.create(**{"name": "ci"} | wrong)
        assert await keyring.list() == []


class TestChecking:
    @pytest.mark.parametrize("secret", ["", "aek_", "aek_unknown", "é\ud800\0", "x" * 100_000])
    async def test_what_is_no_key_is_invalid(self, keyring: Keyring, secret: str) -> None:
        await keyring.create("ci")
        with pytest.raises(InvalidKey):
            await keyring.check(secret)

    async def test_a_key_ends_at_its_moment_and_not_before(self, keyring: Keyring, clock: Clock) -> None:
        _, secret = await keyring.create("ci", SCOPES, NOON + HOUR)
        clock.now = NOON + HOUR - timedelta(microseconds=1)
        await keyring.check(secret)
        clock.now = NOON + HOUR
        with pytest.raises(ExpiredKey, match="2026-11-21 at 13:00 UTC"):
            await keyring.check(secret)

    async def test_an_end_in_another_time_zone_is_told_in_utc(self, keyring: Keyring, clock: Clock) -> None:
        end = (NOON + HOUR).astimezone(timezone(timedelta(hours=9)))
        _, secret = await keyring.create("ci", SCOPES, end)
        clock.now = end
        with pytest.raises(ExpiredKey, match="13:00 UTC"):
            await keyring.check(secret)

    async def test_a_revoked_key_is_invalid_also_when_it_has_expired(
        self, keyring: Keyring, clock: Clock
    ) -> None:
        _, secret = await keyring.create("ci", SCOPES, NOON + HOUR)
        await keyring.revoke("ci")
        for clock.now in (NOON, NOON + 2 * HOUR):
            with pytest.raises(InvalidKey):
                await keyring.check(secret)

    async def test_there_is_a_valid_key_until_the_last_one_ends_or_is_revoked(
        self, keyring: Keyring, clock: Clock
    ) -> None:
        assert not await keyring.any_valid()
        await keyring.create("short", SCOPES, NOON + HOUR)
        await keyring.create("long")
        await keyring.revoke("long")
        assert await keyring.any_valid()
        clock.now = NOON + HOUR
        assert not await keyring.any_valid()


class TestRevoking:
    async def test_a_key_is_revoked_by_its_id_the_beginning_of_it_or_its_name(self, keyring: Keyring) -> None:
        for number, reference in enumerate(("id", "prefix", "name")):
            key, secret = await keyring.create(f"key {number}")
            said = {"id": key.id, "prefix": key.id[:8], "name": key.name}[reference]
            revoked = await keyring.revoke(said)
            assert (revoked.id, revoked.revoked_at) == (key.id, NOON)
            with pytest.raises(InvalidKey):
                await keyring.check(secret)

    async def test_keys_of_one_name_are_told_apart_by_id(self, keyring: Keyring) -> None:
        (first, _), (second, secret) = await keyring.create("ci"), await keyring.create("ci")
        with pytest.raises(AmbiguousReference, match=f"{second.id}.*{first.id}"):
            await keyring.revoke("ci")
        await keyring.revoke(first.id)
        assert (await keyring.check(secret)).id == second.id
        assert (await keyring.revoke("ci")).id == second.id

    async def test_the_beginning_of_an_id_must_be_long_enough_and_fit_one_key(
        self, keyring: Keyring, database: Database
    ) -> None:
        await with_id(database, "abcd-1")
        await with_id(database, "abcd-2")
        with pytest.raises(AmbiguousReference, match="'abcd' matches more than one key"):
            await keyring.revoke("abcd")
        for reference in ("abc", ""):
            with pytest.raises(NotFound):
                await keyring.revoke(reference)
        assert (await keyring.revoke("abcd-2")).id == "abcd-2"

    async def test_only_some_of_many_fitting_keys_are_named(self, keyring: Keyring) -> None:
        for _ in range(6):
            await keyring.create("ci")
        with pytest.raises(AmbiguousReference, match=r"and more\.$") as refused:
            await keyring.revoke("ci")
        assert refused.value.message.count("aek_") == 5

    async def test_a_key_that_is_missing_or_was_revoked_is_not_found(self, keyring: Keyring) -> None:
        key, _ = await keyring.create("ci")
        await keyring.revoke("ci")
        for reference in ("ci", key.id, "other"):
            with pytest.raises(NotFound, match=r"no key .* in use") as refused:
                await keyring.revoke(reference)
            assert "keys list" in str(refused.value.hint)

    async def test_a_secret_given_in_the_place_of_a_name_is_not_repeated(self, keyring: Keyring) -> None:
        _, secret = await keyring.create("ci")
        with pytest.raises(NotFound) as refused:
            await keyring.revoke(secret)
        assert secret[:9] not in f"{refused.value} {refused.value.hint}"


class TestSecrecy:
    async def test_a_secret_stands_in_no_file_log_or_error(
        self, database: Database, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        keyring = Keyring(database, clock=clock)
        key, secret = await keyring.create("ci", SCOPES, NOON + HOUR)
        said = [repr(key), key.model_dump_json()]
        clock.now = NOON + HOUR
        said.append(await error_of(keyring, secret))
        await keyring.revoke("ci")
        said.append(await error_of(keyring, secret))
        kept = all_bytes(tmp_path)
        await database.aclose()
        kept += all_bytes(tmp_path)
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in kept
        assert secret[9:].encode() not in kept
        assert not [text for text in [*said, caplog.text] if secret[:9] in text]


def all_bytes(folder: Path) -> bytes:
    """What stands in the files of a folder, the database's log among them."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def error_of(keyring: Keyring, secret: str) -> str:
    """Everything that the error of a refused key tells."""
    with pytest.raises(EvalError) as refused:
        await keyring.check(secret)
    return f"{refused.value!r} {refused.value.as_dict()} {refused.value.__context__!r}"


class TestOpening:
    async def test_keys_last_from_one_opening_to_the_next(self, tmp_path: Path) -> None:
        settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}")
        async with open_keyring(settings) as keyring:
            key, secret = await keyring.create("ci")
        async with open_keyring(settings) as keyring:
            assert await keyring.check(secret) == key

    async def test_the_hosted_api_has_keys_of_its_own(self, tmp_path: Path) -> None:
        file = tmp_path / "evals.db"
        settings = Settings.read(backend="hosted", database_url=f"sqlite:///{file}")
        with pytest.raises(NotConfigured, match="AGENT_EVAL_BACKEND"):
            async with open_keyring(settings):
                pass
        assert not file.exists()
