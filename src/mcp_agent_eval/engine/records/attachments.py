"""Shared tools: attached to an agent whenever it is read, so that a change to a tool reaches all of its agents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import cast

from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.types import Agent, AgentDraft, Json, Tool, ToolDraft, ToolRecord


def with_tools(connection: Connection, agent: Agent, overrides: Json | None = None) -> Agent:
    """The agent, its own tools followed by those that its `tool_ids` and its flow name, and by those of a flow that
    replaces its own in a run."""
    flow = (overrides or {}).get("flow_config")
    if not isinstance(flow, dict):
        return attach_tools(connection, [agent])[0]
    other = agent.model_copy(update={"flow_config": flow})
    return attach_tools(connection, [other])[0].model_copy(update={"flow_config": agent.flow_config})


def attach_tools(connection: Connection, agents: Collection[Agent]) -> list[Agent]:
    """The same for many agents, reading each tool once. A deleted tool is no longer attached."""
    wanted = list({id for agent in agents for id in shared_ids(agent)})
    if not wanted:
        return list(agents)
    records = nouns.get_many(connection, ToolRecord, wanted)
    return [_attached(agent, records) for agent in agents]


def _attached(agent: Agent, records: Mapping[str, ToolRecord]) -> Agent:
    """Attach tools; an agent's own tool takes precedence over an attached one of the same name."""
    own = {tool.name for tool in agent.tools}
    found = [records[id] for id in shared_ids(agent) if id in records]
    shared = [_as_tool(record) for record in found if record.name not in own]
    return agent.model_copy(update={"tools": [*agent.tools, *shared]})


def shared_ids(agent: AgentDraft) -> list[str]:
    """The attached ids, then those in a flow's tool nodes, each once. A flow may also name the agent's own tools."""
    return list(dict.fromkeys([*agent.tool_ids, *_ids_in(agent.flow_config or {})]))


def _ids_in(flow_config: Json) -> Iterator[str]:
    """All `tool_id` values in a flow that may not have been checked yet."""
    nodes = flow_config.get("nodes")
    for node in cast(list[object], nodes) if isinstance(nodes, list) else ():
        id = cast(Json, node).get("tool_id") if isinstance(node, dict) else None
        if isinstance(id, str):
            yield id


def _as_tool(record: ToolRecord) -> Tool:
    return Tool.model_construct(
        id=record.id, **{name: getattr(record, name) for name in ToolDraft.model_fields}
    )
