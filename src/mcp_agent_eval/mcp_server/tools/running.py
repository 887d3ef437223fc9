"""Tools that start, follow and stop runs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from mcp.server.mcpserver import Resolve
from mcp.types import CallToolResult
from pydantic import Field

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput, NotFound, RunFinished
from mcp_agent_eval.lab.digest import run_digest, standing, suite_run_digest, without_blanks
from mcp_agent_eval.lab.flow_coverage import flow_coverages
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.mcp_server.consent import Answer, case_consent, require, suite_consent
from mcp_agent_eval.mcp_server.long_running import Step, follow
from mcp_agent_eval.mcp_server.render import answer, with_more
from mcp_agent_eval.mcp_server.tools.arguments import (
    AllowRealTools,
    CaseRef,
    IdempotencyKey,
    Overrides,
    RunRef,
    SuiteRef,
    WaitSeconds,
)
from mcp_agent_eval.types import Json, Limit, Offset, Run, RunFilter, RunStatus, SuiteRun


async def run_case(
    ctx: Ctx,
    case_id: CaseRef,
    consent: Annotated[Answer, Resolve(case_consent)],
    agent_overrides: Overrides = None,
    wait_seconds: WaitSeconds = None,
    idempotency_key: IdempotencyKey = None,
    allow_real_tools: AllowRealTools = False,
) -> CallToolResult:
    """Run one case: the persona talks with the agent, then the transcript is scored. Waits for the verdict;
    if that takes longer, returns a run_id for get_run and the run goes on."""
    require(consent)
    backend = (await connection(ctx)).backend
    run = await backend.start_run(
        await backend.find("case", case_id), agent_overrides=agent_overrides, idempotency_key=idempotency_key
    )
    return await _follow_run(ctx, run.id, wait_seconds)


async def run_suite(
    ctx: Ctx,
    suite_id: SuiteRef,
    consent: Annotated[Answer, Resolve(suite_consent)],
    agent_overrides: Overrides = None,
    wait_seconds: WaitSeconds = None,
    idempotency_key: IdempotencyKey = None,
    allow_real_tools: AllowRealTools = False,
) -> CallToolResult:
    """Run every case of a suite and return the aggregate: pass rate, scores, cost, why cases failed. If that takes
    longer, returns a suite_run_id for get_aggregate and the runs go on."""
    require(consent)
    backend = (await connection(ctx)).backend
    started = await backend.start_suite_run(
        await backend.find("suite", suite_id),
        agent_overrides=agent_overrides,
        idempotency_key=idempotency_key,
    )
    return await _follow_suite_run(ctx, started.suite_run_id, wait_seconds)


async def get_run(ctx: Ctx, run_id: RunRef, wait_seconds: WaitSeconds = None) -> CallToolResult:
    """Result of a run: verdict, score, each failed assertion with reason and evidence, cost. Waits while it runs."""
    backend = (await connection(ctx)).backend
    return await _follow_run(ctx, await backend.find("run", run_id), wait_seconds)


async def get_aggregate(
    ctx: Ctx,
    suite_run_id: Annotated[str | None, Field(description="From run_suite: id or id prefix")] = None,
    suite_id: Annotated[str | None, Field(description="Instead: the latest run of this suite")] = None,
    wait_seconds: WaitSeconds = None,
    flow_coverage: Annotated[
        bool,
        Field(description="Also how flows were covered, with a Mermaid picture"),
    ] = False,
) -> CallToolResult:
    """Aggregate of a suite run: pass rate, average score, cost, failed cases. Waits while it runs."""
    backend = (await connection(ctx)).backend
    found = await _suite_run_id(backend, suite_run_id, suite_id)
    result = await _follow_suite_run(ctx, found, wait_seconds)
    return (
        with_more(result, {"flow_coverage": await flow_coverages(backend, found)})
        if flow_coverage
        else result
    )


async def cancel_run(
    ctx: Ctx, run_id: Annotated[str, Field(description="Run or suite run: id or id prefix")]
) -> CallToolResult:
    """Stop a run, or all runs of a suite run, at the next turn. What was said so far is kept."""
    backend = (await connection(ctx)).backend
    try:
        run = await backend.cancel(await backend.find("run", run_id))
    except NotFound:
        return await _cancel_suite_run(backend, await backend.find("suite_run", run_id))
    stopping = None if run.is_final else "stops at its next turn"
    return answer(without_blanks({"run_id": run.id, "status": run.status, "note": stopping}))


async def list_runs(
    ctx: Ctx,
    case_id: Annotated[str | None, Field(description="Only of this case: id or name")] = None,
    suite_id: Annotated[str | None, Field(description="Only of this suite: id or name")] = None,
    suite_run_id: str | None = None,
    status: RunStatus | None = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> CallToolResult:
    """List runs, newest first, with verdict and score. Also finds a run whose id was lost."""
    backend = (await connection(ctx)).backend
    page = await backend.runs(
        RunFilter(
            case_id=await backend.find("case", case_id) if case_id else None,
            suite_id=await backend.find("suite", suite_id) if suite_id else None,
            suite_run_id=await backend.find("suite_run", suite_run_id) if suite_run_id else None,
            status=status,
            limit=limit,
            offset=offset,
        )
    )
    following = f"list_runs(offset={offset + limit}, ...)" if page.has_more else None
    rows = [_row(run) for run in page.data]
    return answer(without_blanks({"runs": rows or "none", "total": page.total, "next": following}))


def _row(run: Run) -> Json:
    return without_blanks(
        {
            "run_id": run.id,
            "case": run.case.name if run.case else None,
            **standing(run),
            "created_at": f"{run.created_at:%Y-%m-%dT%H:%M:%SZ}",
            "overrides": sorted(run.agent_overrides) if run.agent_overrides else None,
        }
    )


async def _follow_run(ctx: Ctx, run_id: str, wait_seconds: float | None) -> CallToolResult:
    link = await connection(ctx)
    wait = partial(link.backend.wait_run, run_id)
    return answer(run_digest(await follow(ctx, wait, link.seconds(wait_seconds), _run_progress)))


async def _follow_suite_run(ctx: Ctx, suite_run_id: str, wait_seconds: float | None) -> CallToolResult:
    link = await connection(ctx)
    wait = partial(link.backend.wait_suite_run, suite_run_id)
    await follow(ctx, wait, link.seconds(wait_seconds), _suite_run_progress)
    aggregate = await link.backend.suite_run(suite_run_id)
    return answer(suite_run_digest(aggregate, await _suite_name(link.backend, aggregate)))


def _run_progress(run: Run) -> Step:
    if run.spoken_turns is None:
        return 0, run.max_turns, run.status
    message = f"turn {run.spoken_turns} of at most {run.max_turns}, ${run.cost_usd:.4f} so far"
    return run.spoken_turns, run.max_turns, message


def _suite_run_progress(aggregate: SuiteRun) -> Step:
    done = aggregate.total_runs - aggregate.in_flight
    message = f"{done} of {aggregate.total_runs} runs done, ${aggregate.cost_usd:.4f} so far"
    return done, aggregate.total_runs, message


async def _suite_name(backend: Backend, aggregate: SuiteRun) -> str | None:
    """The suite's name, as long as it was not deleted."""
    try:
        return (await backend.get("suite", aggregate.suite_id)).name if aggregate.suite_id else None
    except NotFound:
        return None


async def _suite_run_id(backend: Backend, suite_run_id: str | None, suite_id: str | None) -> str:
    if suite_run_id:
        return await backend.find("suite_run", suite_run_id)
    if not suite_id:
        raise InvalidInput("get_aggregate needs suite_run_id, or suite_id for its latest run.")
    found = await backend.find("suite", suite_id)
    executions = await backend.suite_runs(found)
    if not executions:
        raise NotFound("This suite was never run.", hint=f'Call run_suite(suite_id="{found}").')
    return executions[0].suite_run_id


async def _cancel_suite_run(backend: Backend, suite_run_id: str) -> CallToolResult:
    stopped = 0
    for run in (await backend.suite_run(suite_run_id)).runs:
        try:
            await backend.cancel(run.id)
            stopped += 1
        except RunFinished:
            continue
    if not stopped:
        raise RunFinished(
            "Every run of this suite run is over.", hint="get_aggregate shows what they came to."
        )
    return answer({"suite_run_id": suite_run_id, "runs_stopped": stopped})
