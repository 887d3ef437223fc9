"""Keys of the REST API: stored by the hashes of their secrets, listed, revoked. A revoked key stays visible."""

from __future__ import annotations

from datetime import datetime

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import Connection, Row
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.key import ApiKey


def insert(connection: Connection, key: ApiKey, secret_hash: str) -> None:
    """Store a new key."""
    connection.run("insert_key", **_columns(key), secret_hash=secret_hash)


def by_hash(connection: Connection, secret_hash: str) -> ApiKey | None:
    """The key whose secret has this hash, even if it has expired or was revoked."""
    row = connection.one("get_key", secret_hash=secret_hash)
    return _key(row) if row else None


def all(connection: Connection) -> list[ApiKey]:
    """Every key ever created, newest first."""
    return [_key(row) for row in connection.all("list_keys")]


def revoke(connection: Connection, id: str, at: datetime) -> bool:
    """Revoke a key. False: there is none, or it was already revoked."""
    return connection.run("revoke_key", id=id, at=rows.to_time(at)) == 1


def _columns(key: ApiKey) -> Json:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": rows.to_list(key.scopes),
        "created_at": rows.to_time(key.created_at),
        "expires_at": rows.to_time(key.expires_at),
        "revoked_at": rows.to_time(key.revoked_at),
    }


def _key(row: Row) -> ApiKey:
    times = {name: rows.from_time(row[name]) for name in ("created_at", "expires_at", "revoked_at")}
    columns = dict(row) | times | {"scopes": tuple(rows.from_json(row["scopes"]))}
    return ApiKey.model_validate(columns)
