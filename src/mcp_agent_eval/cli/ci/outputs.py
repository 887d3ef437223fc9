"""Writes the files in which a build stores a suite's result."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mcp_agent_eval.cli.files import STANDARD_OUTPUT, make_folder, write
from mcp_agent_eval.cli.streams import CannotWrite, say
from mcp_agent_eval.lab.packs.json_text import write_json
from mcp_agent_eval.lab.reports.baseline import Change
from mcp_agent_eval.lab.reports.json_report import as_json
from mcp_agent_eval.lab.reports.junit import as_junit
from mcp_agent_eval.lab.reports.markdown import as_markdown
from mcp_agent_eval.lab.reports.results import SuiteResult

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable in which GitHub Actions names the Markdown file that it shows with a job."""

_NEIGHBOUR = re.compile("#(?=#)")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where reports go; `-` is standard output, None means not requested."""

    junit: str | None = None
    json: str | None = None
    markdown: str | None = None

    def prepare(self) -> None:
        """Refuse files that cannot be written before anything is paid for, and create the folders.

        Raises:
            click.UsageError: two of them share a place, a folder cannot be created, or a file cannot be written.
        """
        given = [output for output in (self.junit, self.json, self.markdown) if output]
        if given.count(STANDARD_OUTPUT) > 1:
            raise click.UsageError("Only one report can go to standard output.")
        files = [Path(output) for output in given if output != STANDARD_OUTPUT]
        for file in files:
            _check(file)
        if len({file.resolve() for file in files}) < len(files):
            raise click.UsageError("Two reports have the same FILE: the second would replace the first.")

    def write(self, result: SuiteResult, changes: Sequence[Change]) -> None:
        """Write all reports, and the summary of a job on GitHub Actions.

        Raises:
            CannotWrite: one cannot be written; the others are written.
        """
        failures = [
            exc for output, content in self._contents(result, changes) if (exc := _tried(content, output))
        ]
        _add_to_summary(as_markdown(result, changes))
        if failures:
            raise failures[0]

    def _contents(self, result: SuiteResult, changes: Sequence[Change]) -> Iterator[tuple[str, bytes]]:
        if self.junit:
            yield self.junit, as_junit(result)
        if self.json:
            yield self.json, _for_a_log(write_json(as_json(result, changes))).encode()
        if self.markdown:
            yield self.markdown, as_markdown(result, changes).encode()


def _for_a_log(json: str) -> str:
    """The same value without ##, which occurs only in texts: in a build log, ##[ would start a command."""
    return _NEIGHBOUR.sub(r"\\u0023", json)


def _check(file: Path) -> None:
    """Refuse a file that cannot be written, as far as that can be checked without leaving a trace."""
    try:
        make_folder(file)
    except OSError as exc:
        raise click.UsageError(f"The folder {file.parent} cannot be created: {exc.strerror}.") from None
    if file.is_dir():
        raise click.UsageError(f"{file} is a folder: a report needs the name of a file.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise click.UsageError(f"{file} may not be written.")


def _tried(content: bytes, output: str) -> CannotWrite | None:
    try:
        write(content, output)
    except CannotWrite as exc:
        return exc
    return None


def _add_to_summary(markdown: str) -> None:
    """Add to a job's summary. Its log contains everything as well, so a failure here is only reported."""
    if file := os.environ.get(SUMMARY):
        try:
            with Path(file).open("a", encoding="utf-8") as summary:
                summary.write(markdown)
        except OSError as exc:
            say(f"{SUMMARY} cannot be written: {exc.strerror}.")
