"""Examples of each body for the published document: small requests that work as written, except for the ids."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_agent_eval.types import Json, Kind

_SOMETHING = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

EXAMPLES: Mapping[Kind, Json] = {
    "agent": {
        "name": "Harbour Dental",
        "system_prompt": "You are the receptionist of a dental clinic. Be brief.",
        "greeting_message": "Harbour Dental, how can I help?",
        "tools": [
            {
                "name": "bookAppointment",
                "description": "Books an appointment.",
                "parameters": {
                    "type": "object",
                    "properties": {"day": {"type": "string"}},
                    "required": ["day"],
                },
            }
        ],
    },
    "persona": {
        "name": "Hurried nurse",
        "identity_prompt": "You are Maya, a nurse who calls in a short break.",
        "behavior_traits": {"patience": "low", "goal": "Get an appointment on Tuesday."},
    },
    "tool": {
        "name": "endCall",
        "type": "system",
        "description": "Ends the call.",
    },
    "case": {
        "name": "Books a check-up",
        "agent_id": _SOMETHING,
        "persona_id": _SOMETHING,
        "scenario": "You want a check-up, on a Tuesday if that can be done.",
        "success_criteria": [
            {"type": "must_call_tool", "tool_name": "bookAppointment", "weight": 2},
            {"type": "must_not_say", "pattern": "guarantee"},
        ],
    },
    "suite": {"name": "Every booking", "parallelism": 4},
}

OVERRIDES: Json = {
    "agent_overrides": {"system_prompt": "You are the receptionist of a clinic. Ask for the day first."}
}
