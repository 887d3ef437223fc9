"""What is said in the calls of the harness.

All of it follows from a case's scenario and from how many messages there are, so what an undisturbed run says, asks
and costs is known beforehand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Json = dict[str, Any]

CALLER, AGENT, JUDGE = MODELS = ("caller", "agent", "judge")
"""The names of the models, one for each role: their requests tell by it who asks."""

TOOL: Json = {
    "name": "lookUp",
    "description": "Looks a line up.",
    "parameters": {"type": "object", "properties": {"line": {"type": "string"}}, "required": ["line"]},
}
FOUND = "It is known."
_HANG_UP = " [END OF CALL]"
_LOOKED_UP = 1
_MARK = re.compile(r"call (\d+) of suite (\d+) with (\d+) lines")


class Call(NamedTuple):
    """One case, which is run once. Suite 0 stands for none."""

    number: int
    suite: int
    lines: int

    @property
    def mark(self) -> str:
        """The scenario, and a part of every line: a request can be told apart by it."""
        return f"call {self.number} of suite {self.suite} with {self.lines} lines"

    def line(self, number: int) -> str:
        """What the caller says."""
        return f"{self.mark}, line {number}"


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a call: who asks, and for which of its answers, counted from 0."""

    call: Call
    role: str
    position: int


class Said(NamedTuple):
    """A row of a transcript; `tools` are what was called, or what came of it."""

    role: str
    text: str | None
    tools: tuple[Any, ...] = ()


def call_of(body: Json) -> Call:
    """Which call a request is about."""
    found = _MARK.search(json.dumps(body))
    assert found, "every request is about one of our calls"
    return Call(*map(int, found.groups()))


def step_of(body: Json) -> Step:
    """What a request to a model asks for."""
    position = sum(message["role"] == "assistant" for message in body["messages"])
    return Step(call_of(body), body["model"], position)


def answer(step: Step) -> Json:
    """The message that answers a request."""
    if step.role == JUDGE:
        return _text(json.dumps({"reasoning": "It was said.", "turns": [0], "passed": True}))
    if step.role == CALLER:
        is_last = step.position == step.call.lines - 1
        return _text(step.call.line(step.position) + (_HANG_UP if is_last else ""))
    return _agents_answer(step.call, step.position)


def usage(step: Step) -> tuple[int, int]:
    """Tokens in and out. No two requests of a role cost the same."""
    return 100 + step.position, 10 + step.position


def steps(call: Call) -> Iterator[Step]:
    """Every request of an undisturbed run, each once."""
    for position in range(call.lines):
        yield Step(call, CALLER, position)
        yield Step(call, AGENT, position)
    yield Step(call, JUDGE, 0)


def transcript(call: Call) -> Iterator[Said]:
    """What an undisturbed run says. The agent looks one of the lines up, and the last one ends the call."""
    for number in range(call.lines):
        line = call.line(number)
        yield Said("persona", line)
        if number == _LOOKED_UP:
            yield Said("agent", None, ((TOOL["name"], {"line": line}),))
            yield Said("tool_result", FOUND, ((TOOL["name"], FOUND),))
        if number < call.lines - 1:
            yield Said("agent", f"You said: {line}")


def _agents_answer(call: Call, position: int) -> Json:
    """An echo, but for the one line that is looked up first."""
    if position == _LOOKED_UP:
        arguments = json.dumps({"line": call.line(_LOOKED_UP)})
        function = {"name": TOOL["name"], "arguments": arguments}
        used = {"id": "used", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [used]}
    return _text(f"You said: {call.line(position - (position > _LOOKED_UP))}")


def _text(text: str) -> Json:
    return {"role": "assistant", "content": text}
