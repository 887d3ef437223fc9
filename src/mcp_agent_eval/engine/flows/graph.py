"""An index of a flow: its nodes by id, and where each of them may lead."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_agent_eval.engine.flows import events
from mcp_agent_eval.engine.flows.paths import leads_to
from mcp_agent_eval.types import ToolUse
from mcp_agent_eval.types.flow import (
    GLOBAL_PREFIX,
    ConversationNode,
    CustomTransition,
    FlowConfig,
    GlobalNode,
    Node,
    StartNode,
    ToolCallNode,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A way on from a conversation node: one of its transitions, or a jump to a global node."""

    id: str
    target: str
    label: str
    description: str
    is_jump: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A way that was taken, and why; `via` is the transition's id, if it has one."""

    target: str
    reason: str
    via: str | None = None


class FlowGraph:
    """Looks things up in a checked flow."""

    def __init__(self, flow: FlowConfig) -> None:
        self._nodes: dict[str, Node] = {node.id: node for node in flow.nodes}
        self._globals = [node for node in flow.nodes if isinstance(node, GlobalNode) and node.is_global]
        self.start = next(node for node in flow.nodes if isinstance(node, StartNode))

    def node(self, id: str) -> Node:
        """The node with that id."""
        return self._nodes[id]

    def choices(self, node: ConversationNode) -> tuple[Choice, ...]:
        """The node's own transitions, then a jump to every other global node."""
        own = [
            Choice(way.id, way.next_step_id, way.label or "", way.description or "")
            for way in node.transitions
        ]
        return (*own, *(_jump(target) for target in self._globals if target.id != node.id))

    def after_choice(self, node: ConversationNode, choice_id: str) -> Edge | None:
        """The way that a choice stands for, or None when the node has no such choice."""
        for choice in self.choices(node):
            if choice.id == choice_id:
                return Edge(choice.target, _reason(choice), choice.id)
        return None

    def after_tool(self, node: ToolCallNode, use: ToolUse) -> Edge | None:
        """The one edge that follows from a tool's outcome; None for an error without an edge."""
        edges = node.transitions
        if use.error:
            target = edges.error_next_step_id
            return Edge(target, events.failed(use.error)) if target else None
        if custom := _first_match(edges.custom, use.result):
            return Edge(custom.next_step_id, events.matched(custom.label or custom.id), custom.id)
        return Edge(edges.success_next_step_id, events.TOOL_SUCCESS)


def _jump(node: GlobalNode) -> Choice:
    return Choice(
        GLOBAL_PREFIX + node.id, node.id, node.title, node.global_jump_description or "", is_jump=True
    )


def _reason(choice: Choice) -> str:
    return events.jumped(choice.label) if choice.is_jump else events.picked(choice.label or choice.id)


def _first_match(customs: list[CustomTransition], result: object) -> CustomTransition | None:
    return next((one for one in customs if leads_to(one.jsonpath, result, one.equals)), None)
