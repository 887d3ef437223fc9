"""Commands for database maintenance: `prune` deletes old runs, `backup` copies it while it is in use."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import click

from mcp_agent_eval.backend.checkup import address
from mcp_agent_eval.backend.upkeep import Finished, back_up, open_upkeep
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import RunStatus

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=36_500)
_MOST = 1_000_000_000
_OVER: tuple[RunStatus, ...] = ("completed", "failed", "cancelled")


def _age(_: click.Context, __: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    parts = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    age = int(parts[1]) * _UNITS[parts[2]] if parts else timedelta()
    if not timedelta() < age <= _LONGEST:
        raise click.BadParameter(
            f"{text!r} is not an age: write hours, days or weeks, such as 12h, 30d or 8w."
        )
    return age


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    help="Delete runs that ended longer ago than this: 12h, 30d, 8w.",
)
@click.option("--keep", metavar="N", type=click.IntRange(0, _MOST), help="Delete all but the newest N.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(_OVER),
    multiple=True,
    help="Only runs with this status; repeat it for more. Default: any.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, without deleting anything.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def prune(
    older_than: timedelta | None, keep: int | None, statuses: tuple[RunStatus, ...], dry_run: bool, yes: bool
) -> None:
    """Permanently delete finished runs with their transcripts, and shrink the database.

    Waiting runs and runs in progress stay, and so do agents, personas, tools, suites and cases. The runs of a suite
    run are deleted together or not at all. With both --older-than and --keep, only runs that match both are
    deleted.
    """
    if older_than is None and keep is None:
        raise click.UsageError("Say what to delete: --older-than 30d, --keep 1000, or both.")
    anyio.run(_prune, Settings.read(), older_than, keep, statuses, dry_run, yes)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Copy the database into a new FILE while others use it.

    A SQLite file is copied to another one; for a PostgreSQL database, pg_dump writes an archive.
    """
    how_to_use = anyio.run(back_up, Settings.read(), file)
    click.echo(f"Wrote {file}, {file.expanduser().stat().st_size / 1e6:.1f} MB.")
    click.echo(how_to_use, err=True)


async def _prune(
    settings: Settings,
    older_than: timedelta | None,
    keep: int | None,
    statuses: tuple[RunStatus, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    async with open_upkeep(settings) as upkeep:
        runs = await upkeep.finished(older_than=older_than, keep=keep, statuses=statuses)
        if dry_run:
            click.echo(f"{_described(runs)}. This was a dry run: nothing was deleted.")
            return
        if runs and not yes:
            _ask(f"{_described(runs)}. Permanently delete them from {address(settings)}?")
        await upkeep.delete(runs)
        click.echo(f"Deleted: {_described(runs)}.")
        click.echo(await upkeep.compact())


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for confirmation: add --yes.")
    click.confirm(question, abort=True)


def _described(runs: list[Finished]) -> str:
    """How many runs, and from when."""
    if not runs:
        return "no runs"
    in_suite_runs = [run.suite_run_id for run in runs if run.suite_run_id]
    members = f", {len(in_suite_runs):,} of them in {_counted(len(set(in_suite_runs)), 'suite run')}"
    days = sorted({_day(runs[0].ended_at), _day(runs[-1].ended_at)})
    return f"{_counted(len(runs), 'run')}{members if in_suite_runs else ''}, ended {' to '.join(days)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _day(microseconds: int) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d}"
