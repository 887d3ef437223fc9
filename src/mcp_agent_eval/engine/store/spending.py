"""What is spent against a ceiling that several runs share, reserved before it is spent."""

from __future__ import annotations

from mcp_agent_eval.engine.store.database import Connection


def reserve(connection: Connection, scope: str, nano_usd: int, ceiling: int) -> bool:
    """Count so many nano-dollars as spent. False, and nothing counted, when that would pass the ceiling."""
    return connection.one("reserve", scope=scope, nano_usd=nano_usd, ceiling=ceiling) is not None


def give_back(connection: Connection, scope: str, nano_usd: int) -> None:
    """Of what was reserved, so much was not spent."""
    connection.run("give_back", scope=scope, nano_usd=nano_usd)


def spent(connection: Connection, scope: str) -> int:
    """Nano-dollars that count as spent."""
    row = connection.one("get_spending", scope=scope)
    return row["nano_usd"] if row else 0
