"""Suite runs: started, listed and aggregated."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from mcp_agent_eval.api.bodies import Options
from mcp_agent_eval.api.parameters import Id, IdempotencyKey, SuiteRunId
from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.api.routes.endpoints import Answers, Operation, add, link
from mcp_agent_eval.api.shapes import aggregate_answer, rows_answer, suite_start_answer, summary_answer
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import NotFound


class SuiteRunVerbs:
    """Operations on suite runs."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def start(self, id: Id, options: Options, idempotency_key: IdempotencyKey = None) -> Response:
        """Queues a run of every case and returns at once."""
        started = await self._backend.start_suite_run(
            id, agent_overrides=options.agent_overrides, idempotency_key=idempotency_key
        )
        return answer(suite_start_answer(started), 202)

    async def list(self, id: Id) -> Response:
        """Newest first, without the runs themselves."""
        await self._backend.get("suite", id)
        return answer(rows_answer([summary_answer(one) for one in await self._backend.suite_runs(id)]))

    async def get(self, id: Id, suite_run_id: SuiteRunId) -> Response:
        """Every figure is final once `in_flight` is 0. The runs of a deleted suite are found by /agent-eval/runs."""
        await self._backend.get("suite", id)
        aggregate = await self._backend.suite_run(suite_run_id)
        if aggregate.suite_id != id:
            raise NotFound(f"The suite has no run {suite_run_id!r}.")
        return answer(aggregate_answer(aggregate))


def add_suite_runs(app: FastAPI, backend: Backend) -> None:
    """All routes for suite runs."""
    verbs = SuiteRunVerbs(backend)
    add(app, verbs.start, _START)
    add(app, verbs.list, _LIST)
    add(app, verbs.get, _GET)


_START = Operation(
    id="run_suite",
    method="POST",
    path="/agent-eval/suites/{id}/run",
    summary="Run a suite",
    tag="suite runs",
    action="run",
    body="RunOptions",
    body_required=False,
    fails=frozenset({402, 404}),
    answers={
        202: Answers(
            "SuiteStart",
            "The runs are queued.",
            {
                "get_suite_run": link(
                    "get_suite_run", id="$request.path.id", suite_run_id="$response.body#/suite_run_id"
                ),
                "get_run": link("get_run", id="$response.body#/run_ids/0"),
            },
        )
    },
)
_LIST = Operation(
    id="list_suite_runs",
    method="GET",
    path="/agent-eval/suites/{id}/runs",
    summary="List the runs of a suite",
    tag="suite runs",
    action="read",
    fails=frozenset({404}),
    answers={200: Answers("SummaryList", "All runs of the suite.")},
)
_GET = Operation(
    id="get_suite_run",
    method="GET",
    path="/agent-eval/suites/{id}/runs/{suite_run_id}",
    summary="Get a run of a suite",
    tag="suite runs",
    action="read",
    fails=frozenset({404}),
    answers={200: Answers("Aggregate", "The suite run's aggregate, with its runs.")},
)
