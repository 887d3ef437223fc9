"""Tools that agents share: put on an agent whenever it is read, so that a change to one reaches all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mcp_agent_eval.engine.store import nouns
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.types import Agent, Tool, ToolDraft, ToolRecord


def with_tools(connection: Connection, agent: Agent) -> Agent:
    """The agent with the tools that its `tool_ids` name behind its own."""
    return attach_tools(connection, [agent])[0]


def attach_tools(connection: Connection, agents: Collection[Agent]) -> list[Agent]:
    """The same for many agents, each tool being read once. A deleted tool is attached to nobody any more."""
    wanted = list({id for agent in agents for id in agent.tool_ids})
    if not wanted:
        return list(agents)
    records = nouns.get_many(connection, ToolRecord, wanted)
    return [_attached(agent, records) for agent in agents]


def _attached(agent: Agent, records: Mapping[str, ToolRecord]) -> Agent:
    """An agent's own tool comes before an attached one of the same name."""
    own = {tool.name for tool in agent.tools}
    found = [records[id] for id in agent.tool_ids if id in records]
    shared = [_as_tool(record) for record in found if record.name not in own]
    return agent.model_copy(update={"tools": [*agent.tools, *shared]})


def _as_tool(record: ToolRecord) -> Tool:
    return Tool.model_construct(
        id=record.id, **{name: getattr(record, name) for name in ToolDraft.model_fields}
    )
