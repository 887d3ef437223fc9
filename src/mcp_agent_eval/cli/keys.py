"""The `keys` commands: create, list and revoke keys of `serve`, for REST and MCP.

`keys create` writes only the new secret to standard output, so that a script can capture it; how to use it goes to
standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import click

from mcp_agent_eval.backend.keyring import open_keyring
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import now
from mcp_agent_eval.types.key import SCOPES, ApiKey, Scope

_CENTURY = 36_500
_HOW_TO_USE = """\
This is the only time that the key is shown. Use it as either of:

  Authorization: Bearer THE_KEY      in a request to `serve`, REST or MCP
  AGENT_EVAL_API_KEY=THE_KEY         for another mcp-agent-eval that has AGENT_EVAL_BACKEND=hosted
"""


@click.group()
def keys() -> None:
    """Create, list and revoke keys of `serve`, for REST and MCP."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="What the key may do; repeat it for more. Default: everything.",
)
@click.option(
    "--expires",
    "days",
    metavar="DAYS",
    type=click.IntRange(1, _CENTURY),
    help="Days until the key expires. Default: never.",
)
def create(name: str, scopes: tuple[Scope, ...], days: int | None) -> None:
    """Create a key called NAME and show its secret once."""
    expires_at = now() + timedelta(days=days) if days else None
    anyio.run(_create, name, scopes or SCOPES, expires_at)


@keys.command("list")
def list_keys() -> None:
    """List every key, newest first. Of secrets only the beginning is stored."""
    anyio.run(_list)


@keys.command()
@click.argument("reference")
def revoke(reference: str) -> None:
    """Revoke a key at once. REFERENCE is its id, id prefix or name."""
    anyio.run(_revoke, reference)


async def _create(name: str, scopes: Sequence[Scope], expires_at: datetime | None) -> None:
    async with open_keyring(Settings.read()) as keyring:
        key, secret = await keyring.create(name, scopes, expires_at)
    click.echo(f"Created key {_line(key)}", err=True)
    click.echo(secret)
    click.echo(_HOW_TO_USE, err=True, nl=False)


async def _list() -> None:
    async with open_keyring(Settings.read()) as keyring:
        known = await keyring.list()
    for key in known:
        click.echo(_line(key))
    if not known:
        click.echo("There are no keys. Create one with: mcp-agent-eval keys create NAME", err=True)


async def _revoke(reference: str) -> None:
    async with open_keyring(Settings.read()) as keyring:
        key = await keyring.revoke(reference)
    click.echo(f"Revoked key {_line(key)}")


def _line(key: ApiKey) -> str:
    return f"{key.id}  {key.hint}…  {_state(key)}  {_allowed(key)}  {key.name}"


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return f"made {_day(key.created_at)}"
    return f"{'expired' if key.expires_at <= now() else 'expires'} {_day(key.expires_at)}"


def _allowed(key: ApiKey) -> str:
    return "all scopes" if set(key.scopes) == set(SCOPES) else ",".join(key.scopes)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
