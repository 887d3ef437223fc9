"""The `run-suite` command: a suite as a step of a build.

Everything that is said goes to standard error; standard output is for a report that was sent there.
"""

from __future__ import annotations

import signal

import anyio
import click

from mcp_agent_eval.cli.ci.evaluation import Order, evaluate
from mcp_agent_eval.cli.ci.lines import show_result
from mcp_agent_eval.cli.ci.outputs import Outputs
from mcp_agent_eval.cli.refusals import tell
from mcp_agent_eval.errors import (
    AmbiguousReference,
    ConsentNeeded,
    EvalError,
    InvalidInput,
    NotConfigured,
    NotFound,
    NotSupported,
    Unauthorized,
)
from mcp_agent_eval.lab.reports.baseline import changes, read_baseline
from mcp_agent_eval.lab.reports.results import Outcome

_CODES: dict[Outcome, int] = {"passed": 0, "failed": 1, "undecided": 3}
_MISTAKEN, _IMPOSSIBLE, _SIGNALLED = 2, 3, 128
_MISTAKES = (
    InvalidInput,
    NotConfigured,
    ConsentNeeded,
    NotFound,
    AmbiguousReference,
    NotSupported,
    Unauthorized,
)
"""What whoever wrote the command, the files or the settings has to mend."""


def _percent(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if 0 < value <= 1:
        raise click.BadParameter(f"{value:g} is less than a pass in a hundred: give percent, such as 90.")
    return value


@click.command("run-suite")
@click.argument("suite")
@click.option(
    "--fail-under",
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    default=100,
    show_default=True,
    callback=_percent,
    help="How many of 100 runs have to pass.",
)
@click.option(
    "--repeats",
    metavar="N",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Run the suite so often, which shows the cases that pass only sometimes.",
)
@click.option("--overrides", metavar="FILE|JSON", help="Fields of the agent to replace, for these runs only.")
@click.option(
    "--load",
    "files",
    multiple=True,
    metavar="PATH",
    help="Load evals from this file or folder first; repeat it for more.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="Cancel what is not over after this time.",
)
@click.option("--allow-real-tools", is_flag=True, help="Let tools act that are not mocked.")
@click.option("--baseline", metavar="FILE", help="An earlier --json report, to show what changed since.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--json", metavar="FILE", help="Write everything as JSON.")
@click.option("--markdown", metavar="FILE", help="Write a summary, for a comment on a pull request.")
@click.pass_context
def run_suite(
    context: click.Context,
    suite: str,
    fail_under: float,
    repeats: int,
    overrides: str | None,
    files: tuple[str, ...],
    timeout: float | None,
    allow_real_tools: bool,
    baseline: str | None,
    junit: str | None,
    json: str | None,
    markdown: str | None,
) -> None:
    """Run every case of a suite and fail when too few pass.

    SUITE is a suite's id, how its id begins, or its name. FILE may be - for standard output.

    \b
    Exit codes:
      0    enough runs passed
      1    too few passed
      2    the command, the files or the settings do not fit
      3    it cannot be told: runs broke, time or a budget ran out, or the store or the API failed
      130  interrupted; what was running was cancelled (143 when terminated)
    """
    outputs = Outputs(junit, json, markdown)
    outputs.prepare()
    order = Order(suite, fail_under, repeats, overrides, files, timeout, allow_real_tools)
    context.exit(_run(order, baseline, outputs))


def _run(order: Order, baseline: str | None, outputs: Outputs) -> int:
    """The exit code; what there is to say is said."""
    try:
        before = read_baseline(baseline) if baseline else None
        result, stop = anyio.run(evaluate, order)
    except EvalError as exc:
        tell(exc)
        return _MISTAKEN if isinstance(exc, _MISTAKES) else _IMPOSSIBLE
    except KeyboardInterrupt:
        return _SIGNALLED + signal.SIGINT
    changed = [] if before is None else list(changes(before, result))
    show_result(result, changed)
    try:
        outputs.write(result, changed)
    except click.FileError as exc:
        exc.show()
        return _IMPOSSIBLE
    return _SIGNALLED + stop.signal if stop and stop.signal else _CODES[result.outcome]
