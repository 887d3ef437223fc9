"""The `run-suite` command: runs a suite as a step of a build.

All messages go to standard error; standard output is for a report that was sent there.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from fractions import Fraction
from traceback import format_exc
from typing import Any, TypeVar

import anyio
import click

from mcp_agent_eval.cli.arguments import a_number, given
from mcp_agent_eval.cli.ci.evaluation import Order, evaluate
from mcp_agent_eval.cli.ci.interruption import SIGNALLED
from mcp_agent_eval.cli.ci.lines import show_result
from mcp_agent_eval.cli.ci.outputs import Outputs
from mcp_agent_eval.cli.files import STANDARD_OUTPUT
from mcp_agent_eval.cli.refusals import tell
from mcp_agent_eval.cli.streams import UNTOLD, CannotWrite, say
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
from mcp_agent_eval.lab.reports.baseline import Baseline, changes, read_baseline
from mcp_agent_eval.lab.reports.results import Outcome

_Command = TypeVar("_Command", bound=Callable[..., Any])

_CODES: dict[Outcome, int] = {"passed": 0, "failed": 1, "undecided": 3}
_MISTAKEN = 2
_RATE = re.compile(r"(\d{1,3}(\.\d{0,9})?|\.\d{1,9})%?", re.ASCII)
_NO_SHARE = "{!r} is not a share of runs: give 0.9 or 90%."
_MISTAKES = (
    InvalidInput,
    NotConfigured,
    ConsentNeeded,
    NotFound,
    AmbiguousReference,
    NotSupported,
    Unauthorized,
)
"""Errors that the user has to fix in the command, the files or the settings."""


def _percent(_: click.Context, __: click.Parameter, text: str) -> float:
    """A share of runs as people write it: 0.9, 90 and 90% are the same. No one wants only 1% to pass, so 1 means
    all runs."""
    if not _RATE.fullmatch(text):
        raise click.BadParameter(_NO_SHARE.format(text))
    share = Fraction(text.removesuffix("%"))
    percent = share if share > 1 or text.endswith("%") else share * 100
    if percent > 100:
        raise click.BadParameter(_NO_SHARE.format(text))
    return float(percent)


def _report(name: str, help: str) -> Callable[[_Command], _Command]:
    """An option for a report, with a file or without."""
    return click.option(
        name, metavar="[FILE]", is_flag=False, flag_value=STANDARD_OUTPUT, callback=given, help=help
    )


@click.command("run-suite")
@click.argument("suite", callback=given)
@click.option(
    "--fail-under",
    metavar="RATE",
    default="100%",
    show_default=True,
    callback=_percent,
    help="The share of runs that has to pass, such as 0.9 or 90%.",
)
@click.option(
    "--repeats",
    metavar="N",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Run the suite this many times, to find cases that pass only sometimes.",
)
@click.option(
    "--override",
    "overrides",
    multiple=True,
    metavar="FIELD=VALUE",
    callback=given,
    help="A field of the agent to replace, for these runs only; FIELD=@FILE reads it from a file. Repeat it for more, "
    "or give all of them as JSON or in a YAML or JSON file.",
)
@click.option(
    "--load",
    "files",
    multiple=True,
    metavar="PATH",
    callback=given,
    help="Load evals from this file or folder first; repeat it for more.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    callback=a_number,
    help="Cancel unfinished runs after this time.",
)
@click.option("--allow-real-tools", is_flag=True, help="Let tools act that are not mocked.")
@click.option(
    "--baseline",
    metavar="FILE",
    callback=given,
    help="An earlier --json report, to show what has changed since.",
)
@_report("--junit", "Write JUnit XML.")
@_report("--json", "Write everything as JSON.")
@_report("--markdown", "Write a summary, for a comment on a pull request.")
@click.pass_context
def run_suite(
    context: click.Context,
    suite: str,
    fail_under: float,
    repeats: int,
    overrides: tuple[str, ...],
    files: tuple[str, ...],
    timeout: float | None,
    allow_real_tools: bool,
    baseline: str | None,
    junit: str | None,
    json: str | None,
    markdown: str | None,
) -> None:
    """Run every case of a suite and fail when too few pass.

    SUITE is a suite's id, id prefix or name. A report without a FILE, or with -, goes to standard output.

    \b
    Exit codes:
      0    enough runs passed
      1    too few passed
      2    the command, the files or the settings are wrong
      3    undecided: runs broke, time or a budget ran out, or the store or the API failed
      130  interrupted; unfinished runs were cancelled (143 if terminated)
    """
    outputs = Outputs(junit, json, markdown)
    order = Order(suite, fail_under, repeats, overrides, files, timeout, allow_real_tools)
    context.exit(_run(order, baseline, outputs))


def _run(order: Order, baseline: str | None, outputs: Outputs) -> int:
    """Run the suite, report, and return the exit code. No error may end with a different code, least of all with
    the one for too few passed runs."""
    try:
        outputs.prepare()
        return _evaluated(order, read_baseline(baseline) if baseline else None, outputs)
    except click.UsageError:
        raise
    except EvalError as exc:
        tell(exc)
        return _MISTAKEN if isinstance(exc, _MISTAKES) else UNTOLD
    except CannotWrite as exc:
        say(exc.format_message())
        return UNTOLD
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except Exception:
        say(f"mcp-agent-eval: This is our fault, please report it.\n{format_exc()}")
        return UNTOLD


def _evaluated(order: Order, before: Baseline | None, outputs: Outputs) -> int:
    result, stop = anyio.run(evaluate, order)
    changed = None if before is None else list(changes(before, result))
    try:
        outputs.write(result, changed or ())
    finally:
        show_result(result, changed)
    return SIGNALLED + stop.signal if stop and stop.signal else _CODES[result.outcome]
