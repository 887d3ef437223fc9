"""Spending against a ceiling shared by several runs, reserved before it is spent.

Each claim of a run has one call at a time, so it has one reservation per scope. If a worker is lost, the cost of
its call is unknown: its reservation counts as spent from the next look on.
"""

from __future__ import annotations

from typing import NamedTuple

from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.queue import Claim


class Standing(NamedTuple):
    """Nano-dollars of a scope: spent, and reserved for calls in progress."""

    spent: int
    reserved: int


def standing(connection: Connection, scope: str) -> Standing:
    """The current spending of a scope."""
    row = connection.one("get_spending", scope=scope)
    assert row is not None, "it has no FROM"
    return Standing(int(row["spent"]), int(row["reserved"]))


def settle_lost(connection: Connection, scope: str, claim: Claim) -> None:
    """Count reservations of lost calls as spent, including an earlier one of this run."""
    lost = connection.all("take_lost_reservations", scope=scope, run_id=claim.run_id)
    if lost:
        _spend(connection, scope, sum(row["nano_usd"] for row in lost))


def reserve(connection: Connection, scope: str, claim: Claim, nano_usd: int) -> None:
    """Reserve money for the next call of a run."""
    connection.run("add_reservation", scope=scope, run_id=claim.run_id, epoch=claim.epoch, nano_usd=nano_usd)


def settle(connection: Connection, scope: str, claim: Claim, nano_usd: int) -> None:
    """Replace a reservation by the actual cost of its call, unless it was already counted as lost."""
    if connection.one("take_reservation", scope=scope, run_id=claim.run_id, epoch=claim.epoch):
        _spend(connection, scope, nano_usd)


def _spend(connection: Connection, scope: str, nano_usd: int) -> None:
    connection.run("add_spending", scope=scope, nano_usd=nano_usd)
