"""What every client does: list the tools, create, run, read. It needs nothing but a way to list and to call."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a tool; what it returns is turned into text, whatever shape a client gives it."""

SERVER: dict[str, Any] = json.loads(sys.argv[1])
"""`command`, `args` and `env`, or `url`."""


async def travel(tools: list[str], call: Call) -> None:
    """Make the journey, and say so at its end."""
    assert "run_case" in tools, tools
    agent = await made(call, "agent", name="Clinic", system_prompt="You are a receptionist.")
    persona = await made(call, "persona", name="Maya", identity_prompt="You are Maya, a nurse.")
    case = await made(
        call, "case", name="Visit", agent_id=agent, persona_id=persona, scenario="You want an appointment."
    )
    result = text_of(await call("run_case", {"case_id": case}))
    assert "completed" in result, result
    transcript = text_of(await call("read_transcript", {"run_id": id_in(result, "run")}))
    assert "untrusted_turns" in transcript, transcript
    print(f"journey done: {len(tools)} tools")


async def made(call: Call, kind: str, **draft: str) -> str:
    """The id of a thing that is created."""
    return id_in(text_of(await call(f"create_{kind}", draft)), kind)


def text_of(result: Any) -> str:
    """A result as text."""
    return result if isinstance(result, str) else repr(result)


def id_in(text: str, kind: str) -> str:
    """The first id of that kind."""
    found = re.search(rf"{kind}_id\W+([0-9a-f-]{{8,}})", text)
    assert found, text
    return found[1]
