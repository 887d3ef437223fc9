"""The main job on one page: run a suite, read a failure, and fix it with a changed prompt."""

from __future__ import annotations

import shlex
import signal
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import click
import yaml

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.cli.ci.interruption import SIGNALLED, interruptible
from mcp_agent_eval.cli.hosts import HOSTS, this_installation
from mcp_agent_eval.lab.digest import statement
from mcp_agent_eval.lab.packs.loading import load_pack
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import AssertionResult, Json, Run, SuiteRun, Turn

_WIDTH = 100
_OFFLINE = "played by the offline model: deterministic, not an LLM"


async def run_demo() -> int:
    """Load the sample pack into a separate database, run it with and without its override, and explain. Returns the
    exit code."""
    caught: list[signal.Signals] = []
    async with interruptible(caught):
        with tempfile.TemporaryDirectory(prefix="agent-eval-demo-") as folder:
            async with connect(_settings(Path(folder))) as connection:
                await _tell(connection.backend)
        _show_configurations()
    return SIGNALLED + caught[0] if caught else 0


def _settings(folder: Path) -> Settings:
    """The defaults, ignoring the environment, which may name an API, a budget, or a worker elsewhere."""
    return Settings.model_construct(
        database_url=f"sqlite:///{folder / 'demo.db'}",
        agent_model="offline",
        persona_model="offline",
        judge_model="offline",
    )


async def _tell(backend: Backend) -> None:
    pack, overrides = _sample("clinic.yaml"), _sample("overrides.yaml")
    ids = await load_pack(backend, pack)
    suite_name, suite_id = next(iter(ids["suite"].items()))
    counts = ", ".join(_counted(len(pack[f"{noun}s"]), noun) for noun in ("agent", "persona", "case"))
    _title(f"1. Suite {suite_name!r}: {counts}; every part is {_OFFLINE}")
    first = await _run_suite(backend, suite_id, None)
    failing = next(run for run in first.runs if not run.pass_fail)
    _title(f"2. Why did {_case_name(failing)!r} fail?")
    _show_transcript(await backend.turns(failing.id), failing)
    changed = ", ".join(overrides)
    _title(f"3. What if? The same suite with agent_overrides: {changed} (the agent itself is not changed)")
    _show_difference(pack["agents"][0], overrides)
    second = await _run_suite(backend, suite_id, overrides)
    _show_mended(first, second)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sample(name: str) -> Json:
    text = resources.files("mcp_agent_eval.samples").joinpath(name).read_text(encoding="utf-8")
    return yaml.safe_load(text)


async def _run_suite(backend: Backend, suite_id: str, overrides: Json | None) -> SuiteRun:
    aggregate = await backend.start_suite_run(suite_id, agent_overrides=overrides)
    while not aggregate.is_final:
        _progress(aggregate)
        aggregate = await backend.wait_suite_run(aggregate.suite_run_id, 5)
    _progress(aggregate)
    aggregate = await backend.suite_run(aggregate.suite_run_id)
    for run in aggregate.runs:
        click.echo(_result_line(run))
    click.echo(
        f"  {aggregate.passed} of {aggregate.completed} passed, pass rate {aggregate.pass_rate or 0:.0%}, "
        f"average score {aggregate.score_avg or 0:.1f}, cost ${aggregate.cost_usd:.4f}"
    )
    return aggregate


def _progress(aggregate: SuiteRun) -> None:
    done = aggregate.total_runs - aggregate.in_flight
    click.echo(f"  {done} of {aggregate.total_runs} runs done", err=True)


def _result_line(run: Run) -> str:
    mark = click.style("PASS", fg="green") if run.pass_fail else click.style("FAIL", fg="red")
    return f"  {mark}  {run.score or 0:5.1f}  {_case_name(run):40}  {run.spoken_turns} turns, {run.termination_reason}"


def _case_name(run: Run) -> str:
    return run.case.name if run.case else run.id


def _show_transcript(turns: list[Turn], run: Run) -> None:
    for turn in turns:
        for line in _said(turn):
            click.echo(line)
    results = (run.evaluation.results if run.evaluation else None) or []
    click.echo(f"\n  Score {run.score} of 100, threshold {run.case.pass_threshold if run.case else 0:g}:")
    for result in results:
        for line in _evidence(result):
            click.echo(line)


def _said(turn: Turn) -> Iterator[str]:
    who = f"  [{turn.turn_number:2}] {turn.role:11}"
    if turn.text:
        yield f"{who} {turn.text[: _WIDTH * 2]}"
    if turn.role != "tool_result":
        yield from (f"{who} calls {use.name} {use.args}" for use in turn.tool_calls or [])


def _evidence(result: AssertionResult) -> Iterator[str]:
    mark = click.style("passed", fg="green") if result.passed else click.style("FAILED", fg="red")
    yield f"  {mark}  {statement(result.assertion)[:_WIDTH]}"
    if result.reason:
        yield f"          {result.reason}"
    yield from (f"          [{item.turn_number}] {item.quote}" for item in result.evidence)


def _show_difference(agent: Json, overrides: Json) -> None:
    """The lines that an override adds to the fields that it replaces."""
    for field, value in overrides.items():
        before = set(str(agent.get(field, "")).splitlines())
        for line in str(value).splitlines():
            if line not in before:
                click.echo(f"  + {line.strip()}")


def _show_mended(first: SuiteRun, second: SuiteRun) -> None:
    before = {run.case_id: run for run in first.runs}
    mended = [run for run in second.runs if run.pass_fail and not before[run.case_id].pass_fail]
    for run in mended:
        click.echo(f"  {_case_name(run)}: failed -> passed")


def _show_configurations() -> None:
    _title("4. Use it from your assistant. Any OpenAI-compatible or Anthropic model will do; see the README")
    launch = this_installation()
    claude_code, *others = HOSTS.values()
    click.echo(f"\n  {claude_code.name}:\n\n    {next(claude_code.ways(launch)).text}")
    click.echo(f"\n  {', '.join(host.name for host in others)}:\n\n    {shlex.quote(launch.command)} hosts")


def _title(text: str) -> None:
    click.echo(f"\n{click.style(text, bold=True)}")
