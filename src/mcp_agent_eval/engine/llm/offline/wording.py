"""What the offline agent says about its tools: by their names, and by the short fields of their results."""

from __future__ import annotations

from mcp_agent_eval.engine.llm.offline.language import spaced
from mcp_agent_eval.engine.llm.offline.rephrase import joined
from mcp_agent_eval.types import Json

_VERBS_WORDS = """
    add assign book cancel change check confirm create fetch find get list log lookup make move notify
    open order pay record refund register remove report request reschedule reserve save schedule search
    select send set start submit take transfer update verify
"""
_VERBS = frozenset(_VERBS_WORDS.split())
_PAST = {
    "cancel": "cancelled",
    "find": "found",
    "get": "got",
    "lookup": "looked up",
    "make": "made",
    "pay": "paid",
    "send": "sent",
    "set": "set",
    "submit": "submitted",
    "take": "taken",
    "transfer": "transferred",
}
_SPOKEN = {"lookup": "look up"}
_SAYS_NOTHING = frozenset({"status", "message", "result", "ok"})
_LONGEST = 40
_MOST = 2


def deed(tool: str) -> str:
    """What is done with a tool: `bookAppointment` as `book the appointment`."""
    verb, _, rest = spaced(tool).partition(" ")
    return f"{_SPOKEN.get(verb, verb)} the {rest}" if rest else f"do the {verb}"


def cannot(tool: str) -> str:
    """How the agent begins to say that something cannot be done."""
    return f"I am sorry, I cannot {deed(tool)} without"


def told(tool: str, result: Json) -> str:
    """What a tool came to: that it is done, and up to two short fields of its result."""
    if failed(result):
        return f"I am sorry, I could not {deed(tool)}."
    shown = [f"The {spaced(name)} is {value}." for name, value in result.items() if _is_telling(name, value)]
    return joined(_done(tool), *shown[:_MOST])


def failed(result: Json) -> bool:
    """Whether a tool came back with nothing done."""
    return bool(result.get("error")) or result.get("success") is False


def _done(tool: str) -> str:
    verb, _, rest = spaced(tool).partition(" ")
    return (
        f"I have {_past(verb)} the {rest}."
        if verb in _VERBS and rest
        else f"I have done this: {spaced(tool)}."
    )


def _past(verb: str) -> str:
    regular = f"{verb[:-1]}ied" if verb in {"notify", "verify"} else f"{verb.removesuffix('e')}ed"
    return _PAST.get(verb, regular)


def _is_telling(name: str, value: object) -> bool:
    if isinstance(value, bool) or spaced(name) in _SAYS_NOTHING:
        return False
    return isinstance(value, str | int | float) and 0 < len(str(value)) <= _LONGEST
