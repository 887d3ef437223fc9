"""A small flow that many tests bend, and the published ones that stand beside the checkout."""

from __future__ import annotations

import json
from typing import Any

from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.types.flow import FlowConfig
from tests.support import SHARED, shared_path

PUBLISHED = (
    "bland_style_pathwalk_pizzeria_ops",
    "dialogflow_cx_address_collection",
    "dialogflow_cx_default_start_flow",
    "pipecat_food_ordering",
    "pipecat_helpdesk",
    "pipecat_movie_explorer",
    "pipecat_patient_intake",
    "pipecat_restaurant_reservation",
    "pipecat_travel_planner",
)


def start(to: str = "desk", **fields: Any) -> dict[str, Any]:
    """A start node that greets literally, unless told otherwise."""
    return {"id": "start", "type": "start", "greeting": "Clinic, hello.", "is_literal": True} | {
        "next_step_id": to,
        **fields,
    }


def talk(id: str, *ways: tuple[str, str, str], **fields: Any) -> dict[str, Any]:
    """A conversation node; each way is the id, the label and the target of a transition."""
    transitions = [{"id": way, "label": label, "next_step_id": to} for way, label, to in ways]
    return {
        "id": id,
        "type": "conversation",
        "instructions": f"Do {id}.",
        "transitions": transitions,
    } | fields


def tool(id: str, to: str, error: str | None = None, **fields: Any) -> dict[str, Any]:
    """A node that calls the tool `book`."""
    custom = fields.pop("custom", [])
    edges = {"success_next_step_id": to, "error_next_step_id": error, "custom": custom}
    return {"id": id, "type": "tool_call", "tool_id": "book", "transitions": edges} | fields


def end(id: str = "bye", **fields: Any) -> dict[str, Any]:
    """An end node with a literal farewell."""
    return {"id": id, "type": "end", "farewell": "Goodbye.", "is_literal": True} | fields


def config(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A flow_config of these nodes."""
    return {"flow_config_version": "1", "nodes": list(nodes), **fields}


def flow(*nodes: dict[str, Any], **fields: Any) -> FlowConfig:
    """A checked flow of these nodes."""
    return read_flow(config(*nodes, **fields), tools=["book"])


def published(name: str) -> dict[str, Any]:
    """One of the published flows, as it stands in its file."""
    return json.loads(shared_path(f"real/flows/{name}.json").read_text(encoding="utf-8"))


def all_published() -> list[str]:
    """Every published flow that stands beside this checkout."""
    return sorted(path.stem for path in (SHARED / "real" / "flows").glob("*.json"))


def tools_of(config: dict[str, Any]) -> list[str]:
    """The tools that a flow's nodes refer to."""
    return sorted({node["tool_id"] for node in config["nodes"] if node["type"] == "tool_call"})
