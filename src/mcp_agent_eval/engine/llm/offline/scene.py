"""One moment of a conversation as the offline agent sees it: what was said and done, and what is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline.arguments import Exchange, gather
from mcp_agent_eval.engine.llm.offline.instructions import Instruction, Playbook, read_prompt
from mcp_agent_eval.engine.llm.offline.language import content, spaced
from mcp_agent_eval.engine.llm.offline.rephrase import joined
from mcp_agent_eval.engine.llm.offline.shape import as_object
from mcp_agent_eval.engine.llm.offline.wording import cannot, failed
from mcp_agent_eval.types import Json

_SLOT = re.compile(
    r"\[([A-Za-z][\w ]{0,40})\]|<([A-Za-z][\w ]{0,40})>|(?<!\{)\{([A-Za-z][\w ]{0,40})\}(?!\})"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A tool call that came back."""

    call: ToolCall
    result: str

    def fields(self) -> Json:
        """The result as an object; what is none has no fields."""
        try:
            return as_object(json.loads(self.result))
        except ValueError:
            return {}

    @property
    def moment(self) -> Literal["after", "failed"]:
        """Which instructions are due now that the call is back."""
        return "failed" if failed(self.fields()) else "after"


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a reply can depend on. Nothing is remembered between two calls."""

    playbook: Playbook
    tools: dict[str, ToolSpec]
    exchanges: tuple[Exchange, ...]
    said: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    fresh: tuple[Outcome, ...]

    @classmethod
    def of(cls, request: ModelRequest) -> Scene:
        """The scene that a request describes."""
        outcomes = _outcomes(request.messages)
        fresh = _trailing_results(request.messages)
        return cls(
            playbook=read_prompt(request.system, tuple(tool.name for tool in request.tools)),
            tools={tool.name: tool for tool in request.tools},
            exchanges=tuple(_exchanges(request.messages)),
            said=tuple(
                message.text for message in request.messages if message.role == "assistant" and message.text
            ),
            outcomes=outcomes,
            fresh=outcomes[len(outcomes) - fresh :],
        )

    @property
    def newest(self) -> str:
        """The caller's last words."""
        return self.exchanges[-1].answered if self.exchanges else ""

    def is_open(self, instruction: Instruction) -> bool:
        """Whether there is still something to do about an instruction."""
        if instruction.tool is None:
            return not self.has_said(instruction.speech)
        return not (self.has_called(instruction.tool) or self.gave_up(instruction.tool))

    def has_called(self, tool: str) -> bool:
        """Whether a tool was called before."""
        return any(outcome.call.name == tool for outcome in self.outcomes)

    def gave_up(self, tool: str) -> bool:
        """Whether the caller was told that this cannot be done."""
        return any(line.startswith(cannot(tool)) for line in self.said)

    def has_said(self, template: str) -> bool:
        """Whether a line was spoken, whatever was in its slots then."""
        fixed = [piece for piece in _SLOT.sub("\0", template).split("\0") if piece.strip()]
        return any(all(piece in line for piece in fixed) for line in self.said)

    def filled(self, template: str, tool: str | None = None) -> str:
        """A line with its [slots] filled from what is known; a slot without a value stays as it is."""
        values = self._values(tool)
        return _SLOT.sub(lambda slot: _lookup(next(filter(None, slot.groups())), values) or slot[0], template)

    def _values(self, tool: str | None) -> dict[str, str]:
        """Known values by name: of the tool in question first, then of the others, then of results."""
        specs = [self.tools[tool]] if tool in self.tools else list(self.tools.values())
        values = {
            name: str(value) for spec in specs for name, value in gather(spec, self.exchanges).known.items()
        }
        summary = ", ".join(dict.fromkeys(values.values()))
        results = {name: str(value) for outcome in self.outcomes for name, value in outcome.fields().items()}
        return results | values | ({"summary": summary} if summary else {})


def has_slot(template: str) -> bool:
    """Whether a line has [slots] to fill."""
    return _SLOT.search(template) is not None


def _lookup(slot: str, values: dict[str, str]) -> str | None:
    wanted = content(spaced(slot)) or frozenset(spaced(slot).split())
    for name, value in values.items():
        if wanted <= (content(spaced(name)) or frozenset(spaced(name).split())):
            return value
    return None


def _exchanges(messages: Iterable[Message]) -> Iterable[Exchange]:
    """What the caller said, each time with what the agent had said since they last spoke."""
    asked = ""
    for message in messages:
        if message.role == "assistant":
            asked = joined(asked, message.text)
        elif message.role == "user":
            yield Exchange(asked, message.text)
            asked = ""


def _outcomes(messages: tuple[Message, ...]) -> tuple[Outcome, ...]:
    calls = {call.id: call for message in messages for call in message.tool_calls}
    results = (message for message in messages if message.role == "tool")
    return tuple(Outcome(calls[it.tool_call_id], it.text) for it in results if it.tool_call_id in calls)


def _trailing_results(messages: tuple[Message, ...]) -> int:
    calls = {call.id for message in messages for call in message.tool_calls}
    count = 0
    for message in reversed(messages):
        if message.role != "tool":
            break
        count += message.tool_call_id in calls
    return count
