"""Shapes of answers that are not just one noun of the contract: lists, receipts and failures.

The classes define the published document; the functions build such answers from the seam's values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from mcp_agent_eval.types import (
    LOCAL_COMPANY,
    Agent,
    AssertionResult,
    Case,
    Json,
    Kind,
    ModelCall,
    Page,
    Persona,
    Run,
    RunStatus,
    StartedSuiteRun,
    Suite,
    SuiteRun,
    TerminationReason,
    ToolRecord,
    Turn,
)
from mcp_agent_eval.types.base import Model

T = TypeVar("T")
Answer = dict[str, object]


class Failure(Model):
    """An error: what was wrong and what would be right, a code for programs, and what to do next."""

    error: str
    code: str
    hint: str | None = Field(None, exclude_if=lambda hint: hint is None)


class Pagination(Model):
    """The position of a page in its list."""

    total: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)
    offset: int = Field(ge=0)
    has_more: bool


class Rows(Model, Generic[T]):
    """A complete list."""

    data: list[T]
    company_id: str


class Listed(Rows[T], Generic[T]):
    """A page of a list."""

    pagination: Pagination


class AgentList(Listed[Agent]):
    """Agents, newest first."""


class PersonaList(Listed[Persona]):
    """Personas, by name."""


class ToolList(Listed[ToolRecord]):
    """Tools, newest first."""


class CaseList(Listed[Case]):
    """Cases, newest first, each with its agent and persona."""


class SuiteList(Listed[Suite]):
    """Suites, newest first."""


class RunList(Listed[Run]):
    """Runs, newest first, each with its case."""


class TurnList(Rows[Turn]):
    """A transcript, by turn number."""


class CallList(Rows[ModelCall]):
    """Model calls, in the order in which they were made."""


class Aggregate(SuiteRun):
    """A suite run, with its runs."""

    company_id: str


class Summary(Aggregate):
    """A suite run, without its runs."""


class SummaryList(Rows[Summary]):
    """The runs of a suite, newest first."""


class FlowLine(Model):
    """A line of a transcript; the agent's lines have no effect."""

    role: Literal["user", "caller", "persona", "agent", "assistant"]
    text: str


class FlowTest(Model):
    """The input for walking a flow. `mock_tool_results` has `{"result": ...}` or `{"error": "..."}` by tool node."""

    transcript: list[FlowLine]
    mock_tool_results: dict[str, Json] = Field(default_factory=dict[str, Json])
    flow_config: Json | None = None


class FlowWalk(Model):
    """The flow's events, results and arguments by node id, and the node where it stopped."""

    trace: list[Json]
    named_results: Json
    slot_values: Json
    ended_at_step_id: str
    company_id: str


class Verdict(Model):
    """The evaluation of a run. `score`, `pass_fail` and `results` are null until the run is settled."""

    score: float | None
    pass_fail: bool | None
    results: list[AssertionResult] | None
    status: RunStatus
    termination_reason: TerminationReason | None
    company_id: str


class SuiteStart(Model):
    """The runs queued by starting a suite."""

    suite_run_id: str
    run_ids: list[str]
    company_id: str


class Deleted(Model):
    """A noun was deleted."""

    success: Literal[True]


class ListedEndpoint(Model):
    """One way to call this API. `scope` is null where no key is needed."""

    method: str
    path: str
    scope: str | None
    summary: str


class Welcome(Model):
    """This API and all of its endpoints."""

    name: str
    version: str
    extensions: list[str]
    endpoints: list[ListedEndpoint]


LISTS: Mapping[Kind, type[BaseModel]] = {
    "agent": AgentList,
    "persona": PersonaList,
    "tool": ToolList,
    "case": CaseList,
    "suite": SuiteList,
}


def page_answer(page: Page[T]) -> Answer:
    """A page of a list, in the contract's shape."""
    pagination = Pagination(total=page.total, limit=page.limit, offset=page.offset, has_more=page.has_more)
    return rows_answer(page.data) | {"pagination": pagination}


def rows_answer(rows: Sequence[object]) -> Answer:
    """A complete list."""
    return {"data": list(rows), "company_id": LOCAL_COMPANY}


def aggregate_answer(aggregate: SuiteRun) -> Answer:
    """A suite run with its runs."""
    fields: Answer = dict(aggregate)
    return fields | {"company_id": LOCAL_COMPANY}


def summary_answer(aggregate: SuiteRun) -> Answer:
    """A suite run without its runs."""
    return {name: value for name, value in aggregate_answer(aggregate).items() if name != "runs"}


def verdict_answer(run: Run) -> Answer:
    """The evaluation of a run: nulls until it is settled."""
    evaluation = run.evaluation if run.is_final else None
    return {
        "score": run.score if run.is_final else None,
        "pass_fail": run.pass_fail if run.is_final else None,
        "results": evaluation.results if evaluation else None,
        "status": run.status,
        "termination_reason": run.termination_reason,
        "company_id": run.company_id,
    }


def suite_start_answer(started: StartedSuiteRun) -> Answer:
    """The receipt for a queued suite run."""
    return {
        "suite_run_id": started.suite_run_id,
        "run_ids": started.run_ids,
        "company_id": LOCAL_COMPANY,
    }
