"""Tools that start, follow and stop runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

from mcp.server.mcpserver import Resolve
from mcp.types import CallToolResult
from pydantic import Field

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput, NotFound, RunFinished
from mcp_agent_eval.lab.cancelling import cancel_suite_run
from mcp_agent_eval.lab.digest import (
    LONGEST_NAME,
    clipped,
    run_digest,
    run_row,
    suite_run_digest,
    without_blanks,
)
from mcp_agent_eval.lab.fitting import AROUND, CONCISE, MOST, how_many
from mcp_agent_eval.lab.parts import Place
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.mcp_server.consent import Answer, case_consent, require, suite_consent
from mcp_agent_eval.mcp_server.long_running import Step, follow
from mcp_agent_eval.mcp_server.render import answer, part_answer, written
from mcp_agent_eval.mcp_server.tools.arguments import (
    ROWS,
    AllowRealTools,
    Detail,
    IdempotencyKey,
    Overrides,
    Part,
    Ref,
    RunRef,
    WaitSeconds,
    unless,
)
from mcp_agent_eval.mcp_server.tools.references import (
    FoundCase,
    FoundSuite,
    found,
    found_or_none,
    found_run,
    found_suite_run,
)
from mcp_agent_eval.types import Json, Limit, Offset, Run, RunFilter, RunStatus, SuiteRun


async def run_case(
    ctx: Ctx,
    case_id: Ref,
    found_case: FoundCase,
    consent: Annotated[Answer, Resolve(case_consent)],
    agent_overrides: Overrides = None,
    wait_seconds: WaitSeconds = None,
    idempotency_key: IdempotencyKey = None,
    allow_real_tools: AllowRealTools = False,
) -> CallToolResult:
    """Run one case: the persona talks with the agent, then the transcript is scored. Returns the verdict; when it
    takes long, a run_id for get_run."""
    require(ctx, consent, found_case, mocked=_mocked(found_case))
    backend = (await connection(ctx)).backend
    run = await backend.start_run(
        found_case, agent_overrides=agent_overrides, idempotency_key=idempotency_key
    )
    return shown_run(await _followed_run(ctx, run.id, wait_seconds))


async def run_suite(
    ctx: Ctx,
    suite_id: Ref,
    found_suite: FoundSuite,
    consent: Annotated[Answer, Resolve(suite_consent)],
    agent_overrides: Overrides = None,
    wait_seconds: WaitSeconds = None,
    idempotency_key: IdempotencyKey = None,
    allow_real_tools: AllowRealTools = False,
) -> CallToolResult:
    """Run every case of a suite and return the aggregate: pass rate, scores, cost, why cases failed. When it
    takes long, returns a suite_run_id for get_aggregate."""
    require(ctx, consent, found_suite, mocked=f"{_mocked('...')} for each case")
    backend = (await connection(ctx)).backend
    started = await backend.start_suite_run(
        found_suite,
        agent_overrides=agent_overrides,
        idempotency_key=idempotency_key,
    )
    return shown_suite_run(*await _followed_suite_run(ctx, started.suite_run_id, wait_seconds))


def _mocked(case_id: str) -> str:
    """The call that lets no tool of a case act."""
    return written("update", kind="case", id=case_id, changes={"tool_policy": "mock"})


async def get_run(
    ctx: Ctx,
    run_id: RunRef,
    wait_seconds: WaitSeconds = None,
    detail: Detail = "concise",
    part: Part = None,
) -> CallToolResult:
    """Result of a run: verdict, score, each failed assertion with reason and evidence, cost. Waits while it runs.
    detail=full adds passed ones, ids, overrides, tokens."""
    backend = (await connection(ctx)).backend
    run = await _followed_run(ctx, await found_run(backend, run_id), wait_seconds)
    return shown_run(run, detail, part)


async def get_aggregate(
    ctx: Ctx,
    suite_run_id: Annotated[str | None, Field(description="Id or id prefix")] = None,
    suite_id: Annotated[str | None, Field(description="Instead: the latest run of this suite")] = None,
    wait_seconds: WaitSeconds = None,
    flow_coverage: Annotated[
        bool,
        Field(description="Adds flow coverage, with a Mermaid picture"),
    ] = False,
    detail: Detail = "concise",
    part: Part = None,
) -> CallToolResult:
    """Aggregate of a suite run: pass rate, average score, cost, failed cases. Waits while it runs.
    detail=full adds every run."""
    backend = (await connection(ctx)).backend
    wanted = await _suite_run_id(backend, suite_run_id, suite_id)
    aggregate, name = await _followed_suite_run(ctx, wanted, wait_seconds)
    covered = {"flow_coverage": await _flow_coverages(backend, wanted)} if flow_coverage else None
    return shown_suite_run(aggregate, name, detail, part, covered)


async def cancel_run(
    ctx: Ctx, run_id: Annotated[str, Field(description="Run or suite run: id or id prefix")]
) -> CallToolResult:
    """Stop a run, or all runs of a suite run, at the next turn. What was said so far is kept."""
    backend = (await connection(ctx)).backend
    if id := await found_or_none(backend, "run", run_id):
        run = await backend.cancel(id)
        stopping = None if run.is_final else "stops at its next turn"
        return _plain({"run_id": run.id, "status": run.status, "note": stopping})
    if id := await found_or_none(backend, "suite_run", run_id):
        return _plain({"suite_run_id": id, "runs_stopped": await _stop_suite_run(backend, id)})
    raise NotFound(f"There is no run or suite run {run_id[:80]!r}.", hint="Call list_runs to see the newest.")


async def list_runs(
    ctx: Ctx,
    case_id: Annotated[str | None, Field(description="Id or name")] = None,
    suite_id: Annotated[str | None, Field(description="Id or name")] = None,
    suite_run_id: str | None = None,
    status: Annotated[
        RunStatus | None,
        Field(
            description="failed: it broke. A run that did not pass is completed, with pass_fail false",
        ),
    ] = None,
    limit: Limit = ROWS,
    offset: Offset = 0,
) -> CallToolResult:
    """List runs, newest first, with verdict and score. Also finds a run whose id was lost."""
    backend = (await connection(ctx)).backend
    references = await found(backend, case_id=case_id, suite_id=suite_id, suite_run_id=suite_run_id)
    filters = references | {"status": status}
    page = await backend.runs(RunFilter.model_validate(filters | {"limit": limit, "offset": offset}))
    rows = [_row(run) for run in page.data]
    rows = rows[: how_many(rows, MOST - AROUND)]
    following = offset + len(rows)
    shown = {
        "runs": rows or "none",
        "total": page.total,
        "next": written("list_runs", **filters, limit=unless(limit, ROWS), offset=following)
        if following < page.total
        else None,
        "rest": list(_whole(page.data))[:1],
    }
    return answer(without_blanks(shown), lambda _: written("list_runs", **filters, limit=1, offset=offset))


def _whole(runs: Sequence[Run]) -> Iterator[str]:
    """The calls that show what was clipped in rows."""
    for run in runs:
        if run.case and len(run.case.name) > LONGEST_NAME:
            yield f"{written('get_run', run_id=run.id, part='case')} shows one whole"


def _row(run: Run) -> Json:
    overrides = sorted(run.agent_overrides)
    return clipped(run_row(run)) | without_blanks(
        {"created_at": f"{run.created_at:%Y-%m-%dT%H:%M:%SZ}", "overrides": overrides}
    )


def shown_run(run: Run, detail: Detail = "concise", part: str | None = None) -> CallToolResult:
    """A run's result, or a part of it."""

    def call(place: Place) -> str:
        return written("get_run", run_id=run.id, part=str(place))

    if part:
        return part_answer({"run_id": run.id}, run_digest(run, full=True), part, call)
    if detail == "full":
        return answer(run_digest(run, full=True), call)
    return answer(run_digest(run), lambda _: written("get_run", run_id=run.id, detail="full"), most=CONCISE)


def shown_suite_run(
    aggregate: SuiteRun,
    name: str | None,
    detail: Detail = "concise",
    part: str | None = None,
    covered: Json | None = None,
) -> CallToolResult:
    """A suite run's aggregate, or a part of it; `covered` is the flow coverage to add."""
    call = partial(written, "get_aggregate", suite_run_id=aggregate.suite_run_id)
    if covered:
        call = partial(call, flow_coverage=True)
    everything = suite_run_digest(aggregate, name, full=True) | (covered or {})
    if part:
        return part_answer(
            {"suite_run_id": aggregate.suite_run_id}, everything, part, lambda place: call(part=str(place))
        )
    if detail == "full":
        return answer(everything, lambda place: call(part=str(place)))
    most = MOST if covered else CONCISE
    return answer(
        suite_run_digest(aggregate, name) | (covered or {}), lambda _: call(detail="full"), most=most
    )


def _plain(value: Json) -> CallToolResult:
    """A result that is always short."""
    return answer(without_blanks(value), lambda _: "list_runs()")


async def _followed_run(ctx: Ctx, run_id: str, wait_seconds: float | None) -> Run:
    link = await connection(ctx)
    wait = partial(link.backend.wait_run, run_id)
    return await follow(ctx, wait, link.seconds(wait_seconds), run_progress)


async def _followed_suite_run(
    ctx: Ctx, suite_run_id: str, wait_seconds: float | None
) -> tuple[SuiteRun, str | None]:
    """The aggregate with its runs, and the name of its suite."""
    link = await connection(ctx)
    wait = partial(link.backend.wait_suite_run, suite_run_id)
    await follow(ctx, wait, link.seconds(wait_seconds), suite_run_progress)
    aggregate = await link.backend.suite_run(suite_run_id)
    return aggregate, await suite_name(link.backend, aggregate)


def run_progress(run: Run) -> Step:
    """How many turns were spoken, of at most how many, and both in words."""
    if run.spoken_turns is None:
        return 0, run.max_turns, run.status
    message = f"turn {run.spoken_turns} of at most {run.max_turns}, ${run.cost_usd:.4f} so far"
    return run.spoken_turns, run.max_turns, message


def suite_run_progress(aggregate: SuiteRun) -> Step:
    """How many runs are done, of how many, and both in words."""
    done = aggregate.total_runs - aggregate.in_flight
    message = f"{done} of {aggregate.total_runs} runs done, ${aggregate.cost_usd:.4f} so far"
    return done, aggregate.total_runs, message


async def suite_name(backend: Backend, aggregate: SuiteRun) -> str | None:
    """The suite's name, unless it was deleted."""
    try:
        return (await backend.get("suite", aggregate.suite_id)).name if aggregate.suite_id else None
    except NotFound:
        return None


async def _flow_coverages(backend: Backend, suite_run_id: str) -> list[Json]:
    # Late: it imports all shapes of a flow, which a server that is only listed does not need.
    from mcp_agent_eval.lab.flow_coverage import flow_coverages

    return await flow_coverages(backend, suite_run_id)


async def _suite_run_id(backend: Backend, suite_run_id: str | None, suite_id: str | None) -> str:
    if suite_run_id and suite_id:
        raise InvalidInput("get_aggregate takes suite_run_id, or suite_id for its latest run, but not both.")
    if suite_run_id:
        return await found_suite_run(backend, suite_run_id)
    if not suite_id:
        raise InvalidInput("get_aggregate needs suite_run_id, or suite_id for its latest run.")
    suite = await backend.find("suite", suite_id)
    executions = await backend.suite_runs(suite)
    if not executions:
        raise NotFound("This suite was never run.", hint=f'Call run_suite(suite_id="{suite}").')
    return executions[0].suite_run_id


async def _stop_suite_run(backend: Backend, suite_run_id: str) -> int:
    """How many runs there were to stop. Raises RunFinished if there were none."""
    stopped = await cancel_suite_run(backend, suite_run_id)
    if not stopped:
        raise RunFinished(
            "Every run of this suite run is over.",
            hint=f"`{written('get_aggregate', suite_run_id=suite_run_id)}` shows their outcome.",
        )
    return stopped
