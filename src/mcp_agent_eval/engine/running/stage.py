"""Prepares a run: who plays the persona and the agent, and which tools may act."""

from __future__ import annotations

from mcp_agent_eval.engine.conversation.base import Agent, Journal
from mcp_agent_eval.engine.conversation.conversation import Conversation, Earlier
from mcp_agent_eval.engine.conversation.endpoint_agent import EndpointAgent
from mcp_agent_eval.engine.conversation.flow_agent import FlowAgent
from mcp_agent_eval.engine.conversation.persona import EndSignal, SimulatedPersona
from mcp_agent_eval.engine.conversation.prompt_agent import PromptAgent
from mcp_agent_eval.engine.endpoints.reach import endpoint_model
from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.records.preflight import tool_references
from mcp_agent_eval.engine.records.snapshot import Snapshot
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.tools.acting import Acting, Fire, Tools
from mcp_agent_eval.types import LOCAL_COMPANY, AgentDraft, Run, Tool, ToolUse
from mcp_agent_eval.types.webhook import CallContext


def set_stage(
    workshop: Workshop,
    run: Run,
    snapshot: Snapshot,
    agent: AgentDraft,
    journal: Journal,
    earlier: Earlier,
) -> Conversation:
    """The conversation of a run, ready to begin. `agent` is the snapshot's with its overrides, and `earlier` is
    what earlier attempts have stored.

    Raises:
        NotConfigured: a secret that the agent's endpoint needs is not set.
        InvalidInput: the agent cannot be played with its present tools and overrides.
    """
    case = snapshot.case
    player = _agent(workshop, run, agent, journal)
    acting = Acting(
        policy=case.tool_policy,
        allowlist=case.tool_allowlist,
        mocks=case.tool_mocks,
        fire=_firing(workshop, run, snapshot, agent, player),
    )
    return Conversation(
        run.id,
        persona=_persona(workshop, run, snapshot, journal),
        agent=player,
        tools=Tools(agent.tools, seed=case.id, acting=acting),
        journal=journal,
        max_turns=case.max_turns,
        agent_opens=player.opens if isinstance(player, FlowAgent) else agent.agent_speaks_first,
        earlier=earlier,
    )


def _persona(workshop: Workshop, run: Run, snapshot: Snapshot, journal: Journal) -> SimulatedPersona:
    settings = workshop.settings
    signal = EndSignal(settings.persona_end_marker, settings.persona_end_tool)
    model = workshop.models.get(run.persona_model or "")
    return SimulatedPersona(snapshot.persona, snapshot.case.scenario, model, journal, signal)


def _agent(workshop: Workshop, run: Run, agent: AgentDraft, journal: Journal) -> Agent:
    if agent.endpoint is not None:
        model = endpoint_model(agent.endpoint, workshop.models.clients(), agent, conversation_id=run.id)
        return EndpointAgent(agent, agent.endpoint, model, journal, run_id=run.id, at=run.created_at)
    model = workshop.models.get(run.agent_model or "")
    if agent.flow_config is not None:
        flow = read_flow(agent.flow_config, tools=tool_references(agent))
        return FlowAgent(agent, flow, agent.tools, model, journal, at=run.created_at)
    return PromptAgent(agent, model, journal, at=run.created_at)


def _firing(workshop: Workshop, run: Run, snapshot: Snapshot, agent: AgentDraft, player: Agent) -> Fire:
    """How a tool of this run acts, with the metadata that it is sent. A node of a flow may have changed the tool."""
    context = CallContext(
        company_id=LOCAL_COMPANY,
        agent_id=snapshot.agent.id,
        agent_name=agent.name,
        call_id=run.id,
        variables=agent.variables,
    )

    async def fire(tool: Tool, call: ToolCall) -> ToolUse:
        changed = player.tool_called(call) if isinstance(player, FlowAgent) else None
        fired = await workshop.webhooks.fire(changed or tool, call.args, context)
        return fired.as_use(call.id, call.name)

    return fire
