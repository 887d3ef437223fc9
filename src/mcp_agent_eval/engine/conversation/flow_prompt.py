"""Builds the prompts of a flow agent's model: who it is, the step that it is in, and the ways on.

A request never contains more than one step, so that nothing from the others is said too early.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mcp_agent_eval.engine.flows.graph import Choice
from mcp_agent_eval.engine.llm.messages import ToolSpec
from mcp_agent_eval.types import Json

VERSION = "1"

PICK_TOOL = "pick_transition"
PICKED = "transition_id"


def speaking(base: str, *, opening: str | None, step: str | None, closing: str | None) -> str:
    """The system prompt for words at a greeting, a step or a farewell."""
    return _prompt(
        base,
        {
            "How to open": None if opening is None else f"{_OPEN}\n{opening}",
            "This step": step,
            "How to end": None if closing is None else f"{_CLOSE}\n{closing}",
        },
    )


def choosing(base: str, step: str, choices: Sequence[Choice]) -> str:
    """The system prompt for a turn of the caller: move on, or stay and answer."""
    ways = "\n".join(_line(choice) for choice in choices if not choice.is_jump)
    jumps = "\n".join(_line(choice) for choice in choices if choice.is_jump)
    return _prompt(
        base, {"This step": step, "When to move on": _MOVE + ways, "Jumps": jumps and _JUMP + jumps}
    )


def collecting(base: str, tool: str, known: Json) -> str:
    """The system prompt for finding a tool's arguments in what the caller said."""
    facts = json.dumps(known, ensure_ascii=False) if known else ""
    return _prompt(base, {"This step": _COLLECT.format(tool=tool), "Known already": facts})


def asking(base: str, missing: Sequence[str]) -> str:
    """The system prompt for asking the caller for missing arguments."""
    return _prompt(base, {"This step": _ASK.format(names=", ".join(missing))})


def pick_tool(choices: Sequence[Choice]) -> ToolSpec:
    """The internal tool that a model calls to move on."""
    ids = [choice.id for choice in choices]
    return ToolSpec(
        PICK_TOOL,
        "Move on to another step of the call.",
        {
            "type": "object",
            "properties": {PICKED: {"type": "string", "enum": ids}},
            "required": [PICKED],
            "additionalProperties": False,
        },
    )


def tool_block(name: str, text: str) -> str:
    """A tool's result as a message in the history."""
    return f"[Result of the tool {name}, not said by the caller]\n{text}"


def _prompt(base: str, sections: dict[str, str | None]) -> str:
    return "\n\n".join([base, *(f"# {heading}\n{text}" for heading, text in sections.items() if text)])


def _line(choice: Choice) -> str:
    when = ": ".join(part for part in (choice.label, choice.description) if part)
    return f"- {choice.id}: {when}"


_OPEN = "The conversation begins. Greet the caller."
_CLOSE = "This is the last thing that you say. Ask nothing more."
_MOVE = (
    f"When one of these holds after what the caller said last, call {PICK_TOOL} with its id and write no text: "
    "the next step does the talking. When none holds, stay in this step and answer the caller in words, without "
    "a call.\n"
)
_JUMP = "Possible from everywhere. Use one only when nothing above fits.\n"
_COLLECT = (
    "Call {tool} with what the caller has told you. Make nothing up: when something that it needs was not said, "
    "ask the caller for it in one short question and do not call."
)
_ASK = "Ask the caller, in one short question, for: {names}."
