"""The store keeps keys by the hashes of their secrets, in every dialect alike."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from mcp_agent_eval.engine.store import keys
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.errors import StoreError
from mcp_agent_eval.types.key import SCOPES, ApiKey
from tests.contract import store_support as support
from tests.contract.store_support import later, new_id

database = support.database


def key(**fields: Any) -> ApiKey:
    made = {"id": new_id(), "name": "ci", "hint": "aek_abcd", "scopes": SCOPES, "created_at": later()}
    return ApiKey(**made | fields)


async def stored(database: Database, key: ApiKey, secret_hash: str) -> ApiKey:
    await database.write(partial(keys.insert, key=key, secret_hash=secret_hash))
    return key


async def test_a_key_comes_back_by_its_hash_as_it_was_given(database: Database) -> None:
    plain = await stored(database, key(), "one")
    odd = await stored(
        database,
        key(name="nightly \ud800\0é", scopes=("agent_eval:run",), expires_at=later(5), revoked_at=later(3)),
        "two",
    )
    assert await database.read(partial(keys.by_hash, secret_hash="one")) == plain
    assert await database.read(partial(keys.by_hash, secret_hash="two")) == odd
    assert await database.read(partial(keys.by_hash, secret_hash="three")) is None


async def test_keys_are_listed_newest_first_and_those_of_one_moment_in_reverse(database: Database) -> None:
    assert await database.read(keys.all) == []
    first = await stored(database, key(created_at=later(1)), "one")
    second = await stored(database, key(created_at=later(1)), "two")
    oldest = await stored(database, key(created_at=later(0)), "three")
    assert await database.read(keys.all) == [second, first, oldest]


async def test_a_key_is_revoked_once_and_stays_to_be_seen(database: Database) -> None:
    mine, other = await stored(database, key(), "one"), await stored(database, key(), "two")
    assert await database.write(partial(keys.revoke, id=mine.id, at=later(9)))
    assert not await database.write(partial(keys.revoke, id=mine.id, at=later(10)))
    assert not await database.write(partial(keys.revoke, id="missing", at=later(10)))
    revoked = await database.read(partial(keys.by_hash, secret_hash="one"))
    assert revoked == mine.model_copy(update={"revoked_at": later(9)})
    assert await database.read(partial(keys.by_hash, secret_hash="two")) == other


async def test_two_keys_never_share_a_secret(database: Database) -> None:
    await stored(database, key(), "one")
    with pytest.raises(StoreError):
        await stored(database, key(), "one")
