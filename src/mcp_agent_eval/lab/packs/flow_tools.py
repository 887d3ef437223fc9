"""The tools that a flow's nodes call: in a store by id or name, in a file by name.

The name of one of the agent's own tools means that tool, not a shared one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from mcp_agent_eval.types import Json, Kind


def with_flow_tools(kind: Kind, body: Json, look_up: Callable[[str], str | None]) -> Json:
    """The fields of a noun, with each tool that its flow calls looked up; unknown ones stay unchanged."""
    if kind == "agent":
        return _swapped(body, look_up)
    overrides: object = body.get("agent_overrides")
    if kind == "case" and isinstance(overrides, dict):
        return body | {"agent_overrides": _swapped(cast(Json, overrides), look_up)}
    return body


def flow_tools_in(kind: Kind, body: Json) -> list[str]:
    """The tools that a noun's flow calls, except the agent's own."""
    called: list[str] = []
    with_flow_tools(kind, body, called.append)
    return called


def _swapped(agent: Json, look_up: Callable[[str], str | None]) -> Json:
    flow: object = agent.get("flow_config")
    nodes: object = cast(Json, flow).get("nodes") if isinstance(flow, dict) else None
    if not isinstance(nodes, list):
        return agent
    own = set(_names(agent.get("tools")))

    def swap(node: object) -> object:
        if not isinstance(node, dict) or cast(Json, node).get("type") != "tool_call":
            return cast(object, node)
        tool: object = cast(Json, node).get("tool_id")
        found = look_up(tool) if isinstance(tool, str) and tool not in own else None
        return cast(Json, node) | {"tool_id": found if found and found not in own else tool}

    swapped = [swap(node) for node in cast(list[object], nodes)]
    return agent | {"flow_config": cast(Json, flow) | {"nodes": swapped}}


def _names(tools: object) -> Iterator[str]:
    """The names of tools in unchecked input."""
    for tool in cast(list[object], tools) if isinstance(tools, list) else []:
        if isinstance(tool, dict):
            record = cast(Json, tool)
            inner = record.get("function")
            name: object = cast(Json, inner if isinstance(inner, dict) else record).get("name")
            if isinstance(name, str):
                yield name
