"""What a conversation is handed: speakers that hear and speak, and a journal that remembers what was paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_agent_eval.engine.llm.messages import Model, ModelReply, ModelRequest, ToolCall
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import Json, ToolUse, Turn


@dataclass(frozen=True, slots=True)
class Said:
    """One contribution: words, tool calls or both. `reply` is None where no model was asked.

    `reported` are tools that the speaker has used by itself, elsewhere. `events` are what a flow went through
    before it came to speak, and `ends` says by what the speaker ended the conversation with this, if it did.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    hangs_up: bool = False
    reply: ModelReply | None = None
    reported: tuple[ToolUse, ...] = ()
    events: tuple[Json, ...] = ()
    ends: str | None = None


def visible(text: str) -> str:
    """The text as it was said, or nothing when there is nothing in it to see."""
    return text if text.strip() else ""


class Asks(Protocol):
    """Whatever passes requests on to models, and keeps count of what they cost."""

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        """The model's answer; on a resumed run the recorded one, which costs nothing."""
        ...


class Journal(Asks, Protocol):
    """What is paid for is written down before anything is done about it."""

    @property
    def recalled(self) -> bool:
        """Whether the last answer was a recorded one."""
        ...

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        """Store the turns with the calls behind them. True when somebody asked to cancel."""
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
        """The literal greeting, where there is one."""
        ...

    def hear(self, text: str) -> None:
        """Take in the caller's words."""
        ...

    def take_results(self, results: Sequence[ToolUse]) -> None:
        """Take in what the tools that it called came to."""
        ...

    async def speak(self) -> Said:
        """The next step: words, tool calls or both."""
        ...


class Silent(EvalError):
    """A participant answered twice with nothing at all."""

    code = "PARTICIPANT_SILENT"
    status = 502
