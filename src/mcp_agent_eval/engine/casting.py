"""Puts a run together: who plays what, by which model, with which overrides, frozen from then on."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from mcp_agent_eval.engine.attachments import with_tools
from mcp_agent_eval.engine.catalogue import not_found
from mcp_agent_eval.engine.models import Models
from mcp_agent_eval.engine.snapshot import Snapshot, layered
from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.errors import EvalError, InvalidInput
from mcp_agent_eval.types import Agent, Case, Json, Persona, Run, now


@dataclass(frozen=True, slots=True)
class Cast:
    """A run that is ready to be queued; `needs` is what a worker must be able to reach to execute it."""

    run: Run
    snapshot: Snapshot
    needs: tuple[str, ...]


def cast_run(connection: Connection, models: Models, case: Case, overrides: Json | None) -> Cast:
    """A run of a case.

    Raises:
        NotFound: the case's agent was deleted.
        InvalidInput: the overrides do not fit, or the agent is not active.
        NotConfigured: there is no model for a role.
    """
    stored = nouns.get(connection, Agent, case.agent_id)
    if stored is None:
        raise not_found("agent", case.agent_id)
    agent = with_tools(connection, stored)
    snapshot = _snapshot(connection, case, agent, layered(case.agent_overrides, overrides))
    if not agent.is_active:
        raise InvalidInput(
            f"The agent {agent.name!r} is not active.",
            hint=f'update(kind="agent", id="{agent.id}", changes={{"is_active": true}})',
        )
    run = _run(snapshot, models)
    return Cast(run, snapshot, _needs(run, models))


def cast_failure(connection: Connection, case: Case, cause: EvalError) -> Cast:
    """A run that is over before it began, because its case cannot be run any more."""
    agent = nouns.get(connection, Agent, case.agent_id, deleted=True)
    assert agent is not None, "a case's agent may be deleted but is never gone"
    snapshot = _snapshot(connection, case, agent, {})
    at = now()
    run = _bare_run(snapshot).model_copy(
        update={
            "status": "failed",
            "queue_status": "done",
            "termination_reason": "error",
            "error": cause.message,
            "started_at": at,
            "ended_at": at,
            "duration_ms": 0,
        }
    )
    return Cast(run, snapshot, ())


def _snapshot(connection: Connection, case: Case, agent: Agent, overrides: Json) -> Snapshot:
    """A case goes on working with a persona that was deleted."""
    persona = nouns.get(connection, Persona, case.persona_id, deleted=True)
    assert persona is not None, "a case's persona may be deleted but is never gone"
    bare = case.model_copy(update={"agent": None, "persona": None})
    return Snapshot(case=bare, persona=persona, agent=agent, overrides=overrides)


def _run(snapshot: Snapshot, models: Models) -> Run:
    judged = any(assertion.type == "custom_llm_judge" for assertion in snapshot.case.success_criteria)
    return _bare_run(snapshot).model_copy(
        update={
            "agent_model": models.name_for("agent", snapshot.effective_agent().model),
            "persona_model": models.name_for("persona", snapshot.persona.model),
            "judge_model": models.name_for("judge", None) if judged else None,
            "agent_overrides": snapshot.overrides,
        }
    )


def _bare_run(snapshot: Snapshot) -> Run:
    return Run(
        id=str(uuid4()),
        case_id=snapshot.case.id,
        suite_id=snapshot.case.suite_id,
        agent_id=snapshot.agent.id,
        persona_id=snapshot.persona.id,
        max_turns=snapshot.case.max_turns,
    )


def _needs(run: Run, models: Models) -> tuple[str, ...]:
    names = [name for name in (run.agent_model, run.persona_model, run.judge_model) if name]
    return tuple(sorted({models.endpoint(name) for name in names}))
