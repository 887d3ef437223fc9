"""A run: one execution of a case, its turns and its outcome."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mcp_agent_eval.types.base import LOCAL_COMPANY, Json, Limit, Model, Moment, Offset, now
from mcp_agent_eval.types.case import Assertion, Case, Overrides

RunStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
QueueStatus = Literal["pending", "claimed", "done"]
TerminationReason = Literal["persona_goodbye", "agent_ended", "max_turns", "timeout", "error", "cancelled"]
TurnRole = Literal["persona", "agent", "tool_result", "flow_event"]
ModelRole = Literal["agent", "persona", "judge"]


STUB = "not_implemented"
"""The reason that a stub judge gives."""


class ToolUse(Model):
    """A tool call on an agent's turn (`args`), or its outcome on a `tool_result` turn (`result`, `error`).

    `raw_args` is present only when the model's arguments are not a JSON object: then `args` is empty.
    """

    id: str
    name: str
    args: Json | None = None
    raw_args: str | None = None
    result: object = None
    error: str | None = None
    mocked: bool | None = None
    request: Json | None = None
    """The request sent by a tool that really acted, without secrets."""
    response: Json | None = None
    """The answer: status and the beginning of the body."""
    duration_ms: int | None = None


class Turn(Model):
    """One row of a transcript. `text` is null on rows that were not spoken."""

    id: str
    run_id: str
    turn_number: int
    role: TurnRole
    text: str | None = None
    tool_calls: list[ToolUse] | None = None
    flow_event: Json | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_cents: int = 0
    latency_ms: int | None = None
    created_at: Moment = Field(default_factory=now)


class Evidence(Model):
    """The part of the transcript that a verdict is based on: an untrusted excerpt of that turn."""

    turn_number: int
    quote: str


class AssertionResult(Model):
    """The verdict on one assertion. `reason` is in our words, except for a judge's, which is untrusted text."""

    assertion: Assertion
    passed: bool
    weight: float
    reason: str | None = None
    evidence: list[Evidence] = Field(default_factory=list[Evidence])
    judged_by: str | None = None
    """The model that judged here when the API's own judge is a stub."""

    @property
    def is_open(self) -> bool:
        """Whether a stub stood in for the judge, so that this is not a real verdict."""
        judged = self.assertion.type == "custom_llm_judge" and self.judged_by is None
        return judged and not self.passed and (self.reason or "").startswith(STUB)


class Evaluation(Model):
    """The evaluation of a run. `score` is 0 to 100; `pass_fail` is `score >= pass_threshold`."""

    score: float | None = None
    pass_fail: bool | None = None
    results: list[AssertionResult] | None = None

    @property
    def is_open(self) -> bool:
        """Whether any verdict is not a real one, because a stub stood in for the judge."""
        return any(result.is_open for result in self.results or [])


class Run(Model):
    """One execution of a case. Its figures are final once `is_final`.

    Costs are whole US cents, rounded up for each role; null where the price of a model is not known,
    and then `unpriced_models` says which. `cost_usd` is the exact sum of what is known.
    """

    id: str
    company_id: str = LOCAL_COMPANY
    status: RunStatus = "queued"
    queue_status: QueueStatus = "pending"
    mode: Literal["text"] = "text"
    case_id: str | None
    case: Case | None = None
    suite_id: str | None = None
    suite_run_id: str | None = None
    agent_id: str | None
    persona_id: str | None
    agent_model: str | None = None
    persona_model: str | None = None
    judge_model: str | None = None
    created_at: Moment = Field(default_factory=now)
    started_at: Moment | None = None
    ended_at: Moment | None = None
    duration_ms: int | None = None
    score: float | None = None
    pass_fail: bool | None = None
    termination_reason: TerminationReason | None = None
    end_detail: str | None = None
    evaluation: Evaluation | None = None
    local_evaluation: Evaluation | None = None
    """The run with a stub's verdicts replaced by those of our own judge."""
    max_turns: int = 20
    spoken_turns: int | None = 0
    """None where the backend does not say."""
    agent_input_tokens: int = 0
    agent_output_tokens: int = 0
    persona_input_tokens: int = 0
    persona_output_tokens: int = 0
    judge_input_tokens: int = 0
    judge_output_tokens: int = 0
    agent_cost_cents: int | None = 0
    persona_cost_cents: int | None = 0
    judge_cost_cents: int | None = 0
    total_cost_cents: int | None = 0
    cost_usd: float = 0
    unpriced_models: list[str] = Field(default_factory=list)
    attempts: int = 0
    waiting_for: str | None = None
    """Why a run that has begun is queued again: a model that does not answer at the moment."""
    error: str | None = None
    agent_overrides: Overrides = Field(default_factory=dict[str, Any])

    @property
    def is_final(self) -> bool:
        """Whether score, verdict and costs can no longer change."""
        return self.queue_status == "done"


class ModelCall(Model):
    """One call to a model, with the bodies that went over the wire. Tokens: input includes cached ones.

    `cost_usd` is null when the model's price is unknown. `dropped` lists what was left out of the request because
    the model refused it.
    """

    run_id: str
    seq: int
    role: ModelRole
    model: str
    request: Json
    response: Json
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    latency_ms: int = 0
    attempts: int = 1
    dropped: list[str] = Field(default_factory=list)
    error: str | None = None
    created_at: Moment


class RunFilter(Model):
    """Which runs to list; newest first."""

    case_id: str | None = None
    suite_id: str | None = None
    suite_run_id: str | None = None
    status: RunStatus | None = None
    limit: Limit = 20
    offset: Offset = 0
