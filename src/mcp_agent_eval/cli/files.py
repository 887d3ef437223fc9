"""The `load` and `export` commands: evals as files, so that they can live in the repository of the agent.

What is wrong with a file goes to standard error, one problem a line, in the form in which editors find places.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import click

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.lab.packs import export as exporting
from mcp_agent_eval.lab.packs import loading as packs
from mcp_agent_eval.lab.packs.entries import SECTIONS
from mcp_agent_eval.lab.packs.files import Pack, read_files
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json

STANDARD_OUTPUT = "-"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def load(files: tuple[str, ...], dry_run: bool) -> None:
    """Load agents, personas, tools, suites and cases from YAML or JSON files.

    FILE may be a folder, for the files in it, or - for standard input. What is there under its name is changed where
    it differs, and left alone otherwise; nothing is deleted.
    """
    pack = read_files(files, stdin=sys.stdin.buffer.read)
    try:
        loaded = anyio.run(_load, pack, dry_run)
    except packs.LoadFailed as exc:
        for problem in exc.problems:
            click.echo(str(problem), err=True)
        if exc.done.outcomes:
            _show(exc.done, dry_run)
            click.echo(
                "Correct the rest and load again: what is loaded already will be left alone.", err=True
            )
        sys.exit(1)
    _show(loaded, dry_run)


@click.command()
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Only this suite; repeat it for more.")
@click.option(
    "--output", default=STANDARD_OUTPUT, metavar="FILE", help="Where to write. Standard output, unless given."
)
@click.option(
    "--format",
    type=click.Choice(["yaml", "json"]),
    help="How to write. JSON if FILE ends in .json, else YAML, unless given.",
)
def export(suites: tuple[str, ...], output: str, format: exporting.Format | None) -> None:
    """Write everything, or some suites with all that they need, as a file that `load` reads."""
    pack = anyio.run(_export, suites)
    write(exporting.as_text(pack, format or _format_of(output)).encode(), output)
    counts = ", ".join(_counted(section, len(entries)) for section, entries in pack.items())
    click.echo(f"Exported {counts or 'nothing'}.", err=True)


async def _load(pack: Pack, dry_run: bool) -> packs.Loaded:
    async with connect(Settings.read()) as connection:
        return await packs.load(connection.backend, pack, dry_run=dry_run)


async def _export(suites: tuple[str, ...]) -> Json:
    async with connect(Settings.read()) as connection:
        return await exporting.export(connection.backend, suites or None)


def _show(loaded: packs.Loaded, dry_run: bool) -> None:
    """What changed, one noun a line, and the numbers."""
    for line in loaded.in_words():
        click.echo(line)
    actions = [outcome.action for outcome in loaded.outcomes]
    numbers = ", ".join(f"{actions.count(action)} {action}" for action in ("created", "updated", "unchanged"))
    click.echo(f"{numbers}. This was a dry run: nothing was written." if dry_run else f"{numbers}.")


def _counted(section: str, number: int) -> str:
    return f"{number} {SECTIONS[section] if number == 1 else section}"


def _format_of(output: str) -> exporting.Format:
    return "json" if output.lower().endswith(".json") else "yaml"


def write(content: bytes, output: str) -> None:
    """Write to a file, or to standard output if that is `-`: bytes, since neither encoding nor line breaks are for a
    terminal to choose.

    Raises:
        click.FileError: it cannot be written.
    """
    if output == STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        return
    try:
        Path(output).write_bytes(content)
    except OSError as exc:
        raise click.FileError(output, exc.strerror) from None
