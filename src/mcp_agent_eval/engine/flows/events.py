"""The events that a flow leaves in a transcript: flat objects with a `type`, in the contract's terms."""

from __future__ import annotations

from mcp_agent_eval.engine.tools.acting import result_text
from mcp_agent_eval.types import Json, ToolUse
from mcp_agent_eval.types.flow import Node, ToolCallNode

START = "start"
STAY = "stay"
TOOL_SUCCESS = "tool success"
_PREVIEW = 500


def picked(transition: str) -> str:
    """The reason for entering a node that a model chose."""
    return f"eval: {transition}"


def jumped(name: str) -> str:
    """The reason for entering a global node."""
    return f"global jump: {name}"


def matched(label: str) -> str:
    """The reason for entering a node by a custom edge of a tool."""
    return f"tool custom: {label}"


def failed(message: str) -> str:
    """The reason for entering a node by the error edge of a tool."""
    return f"tool error: {message}"


def entered(node: Node, reason: str, via: str | None = None) -> Json:
    """A node was entered; `via` is the id of the transition that led there, where it has one."""
    event: Json = {
        "type": "flow_node_entered",
        "step_id": node.id,
        "node_kind": node.type,
        "name": node.name,
        "reason": reason,
    }
    return event | {"via_transition_id": via} if via else event


def decided(step_id: str, decision: str, target: str | None = None, *, valid: bool = True) -> Json:
    """A turn of the caller was judged: `decision` is a transition's id, or `stay`."""
    event: Json = {"type": "flow_eval_decision", "step_id": step_id, "decision": decision, "valid": valid}
    return event | {"target_step_id": target} if target else event


def tool_result(node: ToolCallNode, use: ToolUse, arguments: Json, *, called: bool) -> Json:
    """The outcome of a tool. `response_preview` is the beginning of its result; `duration_ms` is in milliseconds.
    `called` is present, and false, only when the node took its error edge without calling its tool: assertions do
    not count that as a call. (Ours.)"""
    event: Json = {
        "type": "flow_tool_result",
        "step_id": node.id,
        "kind": node.type,
        "status": "error" if use.error else "success",
        "tool_name": use.name,
        "tool_id": node.tool_id,
        "args": arguments,
        "arg_sources": dict.fromkeys(arguments, "ai_extract"),
        "response_preview": None if use.error else result_text(use)[:_PREVIEW],
        "error": use.error,
        "duration_ms": use.duration_ms,
    }
    return event if called else event | {"called": False}
