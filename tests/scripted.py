"""A model that says what it is told to say, and a journal that keeps everything in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp_agent_eval.engine.llm.messages import Message, Model, ModelReply, ModelRequest, ToolCall, Usage
from mcp_agent_eval.types import Turn


class ScriptedModel:
    """Answers with its lines in turn; a line is a text, or a text with tool calls. Keeps what it was asked."""

    def __init__(self, name: str, *lines: str | tuple[str, str, dict[str, Any]]) -> None:
        self.name = name
        self._lines = list(lines)
        self.asked: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.asked.append(request)
        line = self._lines.pop(0)
        text, calls = (line, ()) if isinstance(line, str) else (line[0], (self._call(line),))
        return ModelReply(
            Message("assistant", text, calls), Usage(10, 5), self.name, sent={"n": len(self.asked)}
        )

    def _call(self, line: tuple[str, str, dict[str, Any]]) -> ToolCall:
        return ToolCall(f"call_{len(self.asked)}", line[1], line[2])


class MemoryJournal:
    """Asks the model every time, keeps the turns, and says that a cancel was asked for after `cancel_after`."""

    recalled = False

    def __init__(self, cancel_after: int | None = None) -> None:
        self.commits: list[list[Turn]] = []
        self._cancel_after = cancel_after

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        return await model.complete(request)

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        self.commits.append(list(turns))
        return self._cancel_after is not None and len(self.commits) >= self._cancel_after
