"""Runs: started from a case, listed, read, and cancelled."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import FastAPI, Query
from starlette.responses import Response

from mcp_agent_eval.api.bodies import Options
from mcp_agent_eval.api.parameters import CallQuery, Id, IdempotencyKey, Prefer, RunQuery
from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.api.routes.endpoints import Answers, Operation, add, link
from mcp_agent_eval.api.shapes import page_answer, rows_answer, verdict_answer
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.lab.waiting import wait_until_final
from mcp_agent_eval.types import Json, RunFilter, Turn

_TURNS_AT_ONCE = 1000


class RunVerbs:
    """Operations on runs."""

    def __init__(self, backend: Backend, block_seconds: float) -> None:
        self._backend = backend
        self._block_seconds = block_seconds

    async def start(
        self, case_id: Id, options: Options, prefer: Prefer, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Waits for the run to be settled: returns 200 then, or 202 with the run so far if that takes longer. The
        run goes on in any case, even if no one waits for the answer."""
        run = await self._backend.start_run(
            case_id, agent_overrides=options.agent_overrides, idempotency_key=idempotency_key
        )
        wait = partial(self._backend.wait_run, run.id)
        await wait_until_final(wait, prefer.seconds(self._block_seconds))
        latest = await self._backend.run(run.id)
        response = answer(latest, 200 if latest.is_final else 202)
        if applied := prefer.applied(self._block_seconds):
            response.headers["Preference-Applied"] = applied
        return response

    async def list(self, query: Annotated[RunQuery, Query()]) -> Response:
        """Newest first, each with its case."""
        return answer(page_answer(await self._backend.runs(RunFilter(**query.model_dump()))))

    async def get(self, id: Id) -> Response:
        """With its case, agent and persona as they were. Score, verdict and costs are final once `queue_status` is
        `done`."""
        return answer(await self._backend.run(id))

    async def turns(self, id: Id) -> Response:
        """The transcript so far, by turn number."""
        turns: list[Turn] = []
        while True:
            start = turns[-1].turn_number + 1 if turns else 0
            more = await self._backend.turns(id, start=start, limit=_TURNS_AT_ONCE)
            turns += more
            if len(more) < _TURNS_AT_ONCE:
                return answer(rows_answer(turns))

    async def calls(self, id: Id, query: Annotated[CallQuery, Query()]) -> Response:
        """What was sent to the models and what came back, starting at call number `start`."""
        return answer(rows_answer(await self._backend.calls(id, start=query.start, limit=query.limit)))

    async def evaluation(self, id: Id) -> Response:
        """Score, verdict and results; null until the run is settled."""
        return answer(verdict_answer(await self._backend.run(id)))

    async def cancel(self, id: Id) -> Response:
        """A waiting run is cancelled at once, one in progress at its next turn. One that is over cannot be
        cancelled: 400."""
        return answer(await self._backend.cancel(id))


def add_runs(app: FastAPI, backend: Backend, block_seconds: float) -> None:
    """All routes for runs."""
    verbs = RunVerbs(backend, block_seconds)
    add(app, verbs.start, _START)
    add(app, verbs.list, _LIST)
    add(app, verbs.get, _about_one("get_run", "", "Get a run", Answers("Run", "The run.")))
    add(app, verbs.turns, _about_one("list_turns", "/turns", "Get the transcript of a run", _TURNS))
    add(
        app, verbs.evaluation, _about_one("get_evaluation", "/evaluation", "Get the score of a run", _VERDICT)
    )
    add(app, verbs.calls, _CALLS)
    add(app, verbs.cancel, _CANCEL)


_LINKS = {
    verb: link(verb, id="$response.body#/id")
    for verb in ("get_run", "list_turns", "get_evaluation", "list_calls", "cancel_run")
}
_PREFERENCE_APPLIED: dict[str, Json] = {
    "Preference-Applied": {
        "description": "Which of the preferences sent were honoured.",
        "schema": {"type": "string"},
    }
}
_START = Operation(
    id="run_case",
    method="POST",
    path="/agent-eval/cases/{case_id}/run",
    summary="Run a case",
    tag="runs",
    action="run",
    body="RunOptions",
    body_required=False,
    fails=frozenset({402, 404}),
    answers={
        200: Answers("Run", "The run is settled: every figure is final.", _LINKS, _PREFERENCE_APPLIED),
        202: Answers("Run", "The run is not settled yet; request it again.", _LINKS, _PREFERENCE_APPLIED),
    },
)
_LIST = Operation(
    id="list_runs",
    method="GET",
    path="/agent-eval/runs",
    summary="List runs",
    tag="runs",
    action="read",
    query=RunQuery,
    answers={200: Answers("RunList", "A page of runs.")},
)
_CALLS = Operation(
    id="list_calls",
    method="GET",
    path="/agent-eval/runs/{id}/calls",
    summary="Get the model calls of a run",
    tag="runs",
    action="read",
    query=CallQuery,
    fails=frozenset({404, 501}),
    answers={200: Answers("CallList", "Model calls, in order.")},
)
_CANCEL = Operation(
    id="cancel_run",
    method="POST",
    path="/agent-eval/runs/{id}/cancel",
    summary="Cancel a run",
    tag="runs",
    action="run",
    fails=frozenset({404}),
    answers={200: Answers("Run", "The run, which is cancelled or will be.")},
)
_TURNS = Answers("TurnList", "The transcript.")
_VERDICT = Answers("Verdict", "The roll-up.")


def _about_one(id: str, suffix: str, summary: str, answers: Answers) -> Operation:
    return Operation(
        id=id,
        method="GET",
        path="/agent-eval/runs/{id}" + suffix,
        summary=summary,
        tag="runs",
        action="read",
        fails=frozenset({404}),
        answers={200: answers},
    )
