"""What is spent against a ceiling that several runs share, set aside before it is spent.

Each claim of a run has one call at a time, so it has one reservation in a scope. What a call cost whose worker was lost
nobody knows: its reservation counts as spent as soon as somebody looks.
"""

from __future__ import annotations

from typing import NamedTuple

from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.queue import Claim


class Standing(NamedTuple):
    """Nano-dollars of a scope: those that count as spent, and those that are set aside for calls in flight."""

    spent: int
    reserved: int


def standing(connection: Connection, scope: str) -> Standing:
    """How a scope stands."""
    row = connection.one("get_spending", scope=scope)
    assert row is not None, "it has no FROM"
    return Standing(int(row["spent"]), int(row["reserved"]))


def settle_lost(connection: Connection, scope: str, claim: Claim) -> None:
    """Count as spent what was set aside for calls that nobody will tell of, an earlier one of this run included."""
    lost = connection.all("take_lost_reservations", scope=scope, run_id=claim.run_id)
    if lost:
        _spend(connection, scope, sum(row["nano_usd"] for row in lost))


def reserve(connection: Connection, scope: str, claim: Claim, nano_usd: int) -> None:
    """Set money aside for the next call of a run."""
    connection.run("add_reservation", scope=scope, run_id=claim.run_id, epoch=claim.epoch, nano_usd=nano_usd)


def settle(connection: Connection, scope: str, claim: Claim, nano_usd: int) -> None:
    """Put what the call has cost in the place of what was set aside for it, unless that was counted as lost."""
    if connection.one("take_reservation", scope=scope, run_id=claim.run_id, epoch=claim.epoch):
        _spend(connection, scope, nano_usd)


def _spend(connection: Connection, scope: str, nano_usd: int) -> None:
    connection.run("add_spending", scope=scope, nano_usd=nano_usd)
