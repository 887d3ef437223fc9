"""A small clinic to test with: an agent whose prompt decides what is said, a persona and a case."""

from __future__ import annotations

from typing import Any

from mcp import Client

from tests.support import call

PROMPT = """\
You are the receptionist of a dental clinic. Be brief.
- When the caller wants to book an appointment, call bookAppointment.
- When the caller says goodbye, say "Goodbye." """

READS_BACK = PROMPT + '\n- Before you book, say "Let me read that back: is Tuesday at 3 pm right?"'

BOOK: dict[str, Any] = {
    "name": "bookAppointment",
    "description": "Books an appointment.",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string", "description": "The day"}},
        "required": ["day"],
    },
    "output_schema": {
        "type": "object",
        "properties": {"confirmation_number": {"type": "string", "examples": ["HD-1"]}},
        "required": ["confirmation_number"],
    },
}

CALLS_TOOL = {"type": "must_call_tool", "tool_name": "bookAppointment"}
SAYS_BACK = {"type": "must_say", "pattern": "read that back"}


async def create_clinic(client: Client, **case: Any) -> str:
    """Agent, persona and case; the case's id."""
    agent = await call(
        client,
        "create_agent",
        name="Clinic",
        system_prompt=PROMPT,
        tools=[BOOK],
        greeting_message="Clinic, how can I help?",
    )
    persona = await call(
        client,
        "create_persona",
        name="Maya",
        identity_prompt="You are Maya Cohen, a nurse.",
        behavior_traits={"known_info": ["You can come on Tuesday."], "goal": "Get an appointment."},
    )
    draft = {
        "name": "Books a visit",
        "agent_id": agent["agent_id"],
        "persona_id": persona["persona_id"],
        "scenario": "You want to book an appointment for a check-up.",
        "success_criteria": [CALLS_TOOL],
    }
    return (await call(client, "create_case", **draft | case))["case_id"]
