"""The `doctor` command: what is configured, what is missing, and what to do about it."""

from __future__ import annotations

import anyio
import click

from mcp_agent_eval.cli.doctor.findings import Finding, Level
from mcp_agent_eval.lab.packs.json_text import write_json
from mcp_agent_eval.lab.reports.texts import for_a_log, one_line

_COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
_WIDTH = 10


@click.command()
@click.option("--no-network", is_flag=True, help="Do not contact the API or model providers.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@click.pass_context
def doctor(context: click.Context, no_network: bool, as_json: bool) -> None:
    """Look for problems with this installation, and say how to fix them. Nothing costs money.

    Exits with 1 if something will not work, and with 0 otherwise.
    """
    findings = anyio.run(_collect, not no_network, not as_json)
    healthy = all(finding.level != "fail" for finding in findings)
    if as_json:
        click.echo(write_json({"ok": healthy, "findings": [one.as_dict() for one in findings]}), nl=False)
    else:
        _conclude(findings)
    context.exit(0 if healthy else 1)


async def _collect(network: bool, tell: bool) -> list[Finding]:
    """All findings; each is reported as soon as it is found, since some take a second."""
    # The client and the engine take half a second to import, which other commands should not wait for.
    from mcp_agent_eval.cli.doctor.examination import examine

    found: list[Finding] = []
    async for finding in examine(network):
        found.append(finding)
        if tell:
            _show(finding)
    return found


def _show(finding: Finding) -> None:
    level = click.style(f"{finding.level:4}", fg=_COLOURS[finding.level])
    click.echo(f"{level}  {finding.about:{_WIDTH}}  {for_a_log(one_line(finding.message))}")
    if finding.fix:
        click.echo(f"{'':4}  {'':{_WIDTH}}  -> {for_a_log(one_line(finding.fix))}")


def _conclude(findings: list[Finding]) -> None:
    levels = [finding.level for finding in findings]
    fails, warnings = levels.count("fail"), levels.count("warn")
    click.echo(f"\n{len(levels)} checks: {fails} failed, {warnings} with a warning.")
