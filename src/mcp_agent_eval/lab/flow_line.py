"""Writes an event of a flow as one line: an assistant reads many of them, and pays for each word."""

from __future__ import annotations

import json

from mcp_agent_eval.types import Json


def flow_line(event: Json) -> str:
    """What happened, at which node, and why. An event of an unknown type is shown unchanged."""
    step = event.get("step_id")
    match event.get("type"):
        case "flow_node_entered":
            return f"entered {step} ({event.get('reason')})"
        case "flow_eval_decision":
            target = f" -> {event['target_step_id']}" if event.get("target_step_id") else ""
            return f"at {step}: {event.get('decision')}{target}{'' if event.get('valid') else ', not a valid choice'}"
        case "flow_tool_result":
            error = f": {event['error']}" if event.get("error") else ""
            return f"at {step}: {event.get('tool_name')} {event.get('status')}{error}"
        case _:
            return json.dumps(event, ensure_ascii=False)
