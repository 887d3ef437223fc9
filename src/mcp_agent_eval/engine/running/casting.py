"""Puts a run together: who plays which role, with which model and overrides, frozen from then on."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.llm.names import ELSEWHERE, split
from mcp_agent_eval.engine.records.attachments import with_tools
from mcp_agent_eval.engine.records.catalogue import agent_gone
from mcp_agent_eval.engine.records.preflight import check_agent
from mcp_agent_eval.engine.records.snapshot import Snapshot, layered
from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.errors import EvalError, InvalidInput
from mcp_agent_eval.types import Agent, AgentDraft, Case, Json, Persona, Run, now


@dataclass(frozen=True, slots=True)
class Cast:
    """A run that is ready to be queued; `needs` lists what a worker must be able to reach to execute it."""

    run: Run
    snapshot: Snapshot
    needs: tuple[str, ...]


class Caster:
    """Puts runs together within one transaction: an agent or persona shared by several cases is read once."""

    def __init__(self, connection: Connection, models: Models) -> None:
        self._connection = connection
        self._models = models
        self._agents: dict[str, Agent] = {}
        self._personas: dict[str, Persona] = {}

    def run(self, case: Case, overrides: Json | None) -> Cast:
        """A run of a case.

        Raises:
            NotFound: the case's agent was deleted.
            InvalidInput: the overrides do not fit, or the agent is not active.
            NotConfigured: there is no model for a role.
        """
        agent = self._agent(case.agent_id)
        if agent.deleted_at is not None:
            raise agent_gone(case)
        layers = layered(case.agent_overrides, overrides)
        if "flow_config" in layers:
            agent = with_tools(self._connection, agent, layers)
        snapshot = self._snapshot(case, agent, layers)
        if not agent.is_active:
            raise InvalidInput(
                f"The agent {agent.name!r} is not active.",
                hint=f'update(kind="agent", id="{agent.id}", changes={{"is_active": true}})',
            )
        effective = snapshot.effective_agent()
        if layers:
            check_agent(effective)
        run = _run(snapshot, effective, self._models)
        return Cast(run, snapshot, _needs(run, self._models))

    def failure(self, case: Case, cause: EvalError) -> Cast:
        """A run that failed before it began, because its case can no longer be run."""
        snapshot = self._snapshot(case, self._agent(case.agent_id), {})
        return Cast(_failed(_bare_run(snapshot), cause), snapshot, ())

    def _snapshot(self, case: Case, agent: Agent, overrides: Json) -> Snapshot:
        """The persona of a case. The case keeps working after its persona is deleted."""
        bare = case.model_copy(update={"agent": None, "persona": None})
        return Snapshot.model_construct(
            case=bare, persona=self._persona(case.persona_id), agent=agent, overrides=overrides
        )

    def _agent(self, id: str) -> Agent:
        if id not in self._agents:
            stored = nouns.get(self._connection, Agent, id, deleted=True)
            assert stored is not None, "a case's agent may be deleted but is never gone"
            self._agents[id] = with_tools(self._connection, stored)
        return self._agents[id]

    def _persona(self, id: str) -> Persona:
        if id not in self._personas:
            stored = nouns.get(self._connection, Persona, id, deleted=True)
            assert stored is not None, "a case's persona may be deleted but is never gone"
            self._personas[id] = stored
        return self._personas[id]


def _failed(run: Run, cause: EvalError) -> Run:
    at = now()
    return run.model_copy(
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


def _run(snapshot: Snapshot, agent: AgentDraft, models: Models) -> Run:
    judged = any(assertion.type == "custom_llm_judge" for assertion in snapshot.case.success_criteria)
    return _bare_run(snapshot).model_copy(
        update={
            "agent_model": _agent_model(agent, models),
            "persona_model": models.name_for("persona", snapshot.persona.model),
            "judge_model": models.name_for("judge", None) if judged else None,
            "agent_overrides": snapshot.overrides,
        }
    )


def _agent_model(agent: AgentDraft, models: Models) -> str:
    """The model of the agent. One that runs elsewhere has no known model, so its address stands in."""
    return f"{ELSEWHERE}:{agent.endpoint.host}" if agent.endpoint else models.name_for("agent", agent.model)


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
    return tuple(sorted({models.lane(name) for name in names if split(name)[0] != ELSEWHERE}))
