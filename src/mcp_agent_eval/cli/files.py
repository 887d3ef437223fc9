"""The `load` and `export` commands: evals as files, so that they can live in the agent's repository.

Problems with a file go to standard error, one per line, in the form in which editors recognise locations.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import click

from mcp_agent_eval.backend.checkup import address, database_file
from mcp_agent_eval.backend.connect import Connection, connect
from mcp_agent_eval.cli.arguments import given
from mcp_agent_eval.cli.streams import CannotWrite, say, write_bytes
from mcp_agent_eval.errors import StoreError
from mcp_agent_eval.lab.packs import export as exporting
from mcp_agent_eval.lab.packs import loading as packs
from mcp_agent_eval.lab.packs.entries import SECTIONS
from mcp_agent_eval.lab.packs.files import Pack, read_files
from mcp_agent_eval.lab.reports.texts import for_a_log
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json

STANDARD_OUTPUT = "-"
_FIRST = "Check AGENT_EVAL_DATABASE_URL; `mcp-agent-eval load` creates a database if there is none."


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", callback=given)
@click.option("--dry-run", is_flag=True, help="Show what would change, without changing anything.")
def load(files: tuple[str, ...], dry_run: bool) -> None:
    """Load agents, personas, tools, suites and cases from YAML or JSON files.

    FILE may be a folder, for the files in it, or - for standard input. Existing entries of the same name are
    updated if they differ; nothing is deleted.
    """
    pack = read_files(files, stdin=sys.stdin.buffer.read)
    try:
        loaded = anyio.run(_load, pack, dry_run)
    except packs.LoadFailed as exc:
        for problem in exc.problems:
            say(str(problem))
        if exc.done.outcomes:
            _show(exc.done, dry_run)
            say("Correct the rest and load again: entries already loaded will stay unchanged.")
        sys.exit(1)
    _show(loaded, dry_run)


@click.command()
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME",
    callback=given,
    help="Only this suite; repeat it for more.",
)
@click.option(
    "--output",
    default=STANDARD_OUTPUT,
    metavar="FILE",
    callback=given,
    help="Where to write. Default: standard output.",
)
@click.option(
    "--format",
    type=click.Choice(["yaml", "json"]),
    help="The format. Default: JSON if FILE ends in .json, else YAML.",
)
def export(suites: tuple[str, ...], output: str, format: exporting.Format | None) -> None:
    """Write everything, or some suites with all that they need, to a file that `load` reads."""
    pack = anyio.run(_export, suites)
    write(exporting.as_text(pack, format or _format_of(output)).encode(), output)
    counts = ", ".join(_counted(section, len(entries)) for section, entries in pack.items())
    say(f"Exported {counts or 'nothing'}.")


async def _load(pack: Pack, dry_run: bool) -> packs.Loaded:
    async with _looked_at() if dry_run else connect(Settings.read()) as connection:
        return await packs.load(connection.backend, pack, dry_run=dry_run)


async def _export(suites: tuple[str, ...]) -> Json:
    settings = Settings.read()
    if missing := _missing_database(settings):
        raise StoreError(f"There is no database at {missing}.", hint=_FIRST)
    async with connect(settings) as connection:
        return await exporting.export(connection.backend, suites or None)


@asynccontextmanager
async def _looked_at() -> AsyncGenerator[Connection]:
    """The settings for a dry run, which must not create a database: a missing one is replaced by an empty temporary
    one."""
    settings = Settings.read()
    if (missing := _missing_database(settings)) is None:
        async with connect(settings) as connection:
            yield connection
        return
    say(f"There is no database at {missing} yet.")
    with tempfile.TemporaryDirectory(prefix="agent-eval-") as folder:
        empty = settings.model_copy(update={"database_url": f"sqlite:///{Path(folder) / 'empty.db'}"})
        async with connect(empty) as connection:
            yield connection


def _missing_database(settings: Settings) -> str | None:
    """The path of a database file that does not exist."""
    file = database_file(settings) if settings.backend == "embedded" else None
    return address(settings) if file and not file.exists() else None


def _show(loaded: packs.Loaded, dry_run: bool) -> None:
    """Report the changes, one noun per line, and the totals."""
    for line in loaded.in_words():
        click.echo(for_a_log(line))
    actions = [outcome.action for outcome in loaded.outcomes]
    numbers = ", ".join(f"{actions.count(action)} {action}" for action in ("created", "updated", "unchanged"))
    click.echo(f"{numbers}. This was a dry run: nothing was written." if dry_run else f"{numbers}.")


def _counted(section: str, number: int) -> str:
    return f"{number} {SECTIONS[section] if number == 1 else section}"


def _format_of(output: str) -> exporting.Format:
    return "json" if output.lower().endswith(".json") else "yaml"


def write(content: bytes, output: str) -> None:
    """Write to a file, creating its folder, or to standard output if that is `-`. Writes bytes, so that a terminal
    does not change encoding or line breaks.

    Raises:
        CannotWrite: it cannot be written.
    """
    if output == STANDARD_OUTPUT:
        write_bytes(content)
        return
    try:
        make_folder(Path(output))
        Path(output).write_bytes(content)
    except OSError as exc:
        raise CannotWrite(output, exc.strerror) from None


def make_folder(file: Path) -> None:
    """Create the folder for a file. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
