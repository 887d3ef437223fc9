"""What a conversation is given: speakers that hear and speak, and a journal that remembers what was paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_agent_eval.engine.llm.messages import Model, ModelReply, ModelRequest, ToolCall
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import Json, ToolUse, Turn


@dataclass(frozen=True, slots=True)
class Said:
    """One contribution: words, tool calls or both. `reply` is None when no model was asked.

    `reported` lists tools that the speaker ran itself, elsewhere. `events` are the steps that a flow took before it
    spoke, and `ends` says how the speaker ended the conversation here, if it did.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    hangs_up: bool = False
    reply: ModelReply | None = None
    reported: tuple[ToolUse, ...] = ()
    events: tuple[Json, ...] = ()
    ends: str | None = None


def visible(text: str) -> str:
    """The text as it was said, or empty when it is blank."""
    return text if text.strip() else ""


class Asks(Protocol):
    """Passes requests to models and keeps count of their costs."""

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        """The model's answer; on a resumed run the recorded one, which costs nothing."""
        ...


class Journal(Asks, Protocol):
    """Stores what was paid for before anything is done with it."""

    @property
    def recalled(self) -> bool:
        """Whether the last answer was a recorded one."""
        ...

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        """Store the turns with the calls behind them. True when a cancel was requested."""
        ...


class Persona(Protocol):
    """The simulated caller."""

    def hear(self, text: str) -> None:
        """Take in the agent's words."""
        ...

    async def speak(self) -> Said:
        """The next message."""
        ...


class Agent(Protocol):
    """The agent under test."""

    def greet(self) -> Said | None:
        """The literal greeting, if there is one."""
        ...

    def hear(self, text: str) -> None:
        """Take in the caller's words."""
        ...

    def take_results(self, results: Sequence[ToolUse]) -> None:
        """Take in the outcomes of the tools that it called."""
        ...

    async def speak(self) -> Said:
        """The next step: words, tool calls or both."""
        ...


class Silent(EvalError):
    """A participant gave an empty answer twice."""

    code = "PARTICIPANT_SILENT"
    status = 502
