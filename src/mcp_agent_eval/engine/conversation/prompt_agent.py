"""The agent under test when it is a prompt with tools."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mcp_agent_eval.engine.conversation.base import Journal, Said, visible
from mcp_agent_eval.engine.conversation.dialogue import Dialogue
from mcp_agent_eval.engine.llm.messages import Message, Model, ToolSpec
from mcp_agent_eval.engine.tools.acting import result_text
from mcp_agent_eval.types import AgentDraft, ToolUse
from mcp_agent_eval.types.variables import fill


class PromptAgent:
    """Plays an agent record: its prompt with variables filled in, its greeting, its tools."""

    def __init__(self, agent: AgentDraft, model: Model, journal: Journal, *, at: datetime) -> None:
        self._greeting = visible(fill(agent.greeting_message or "", agent.variables, at))
        self._dialogue = Dialogue(
            "agent",
            model,
            journal,
            system=fill(agent.system_prompt, agent.variables, at),
            tools=tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in agent.tools),
            temperature=agent.temperature,
        )

    def greet(self) -> Said | None:
        """The greeting, which needs no model."""
        if not self._greeting:
            return None
        self._dialogue.add(Message("assistant", self._greeting))
        return Said(self._greeting)

    def hear(self, text: str) -> None:
        """Take in the caller's words."""
        self._dialogue.add(Message("user", text))

    def take_results(self, results: Sequence[ToolUse]) -> None:
        """Take in the outcomes of the called tools, in the order of the calls."""
        for result in results:
            self._dialogue.add(Message("tool", result_text(result), tool_call_id=result.id))

    async def speak(self) -> Said:
        """The next step: words, tool calls or both."""
        reply = await self._dialogue.ask()
        self._dialogue.add(reply.message)
        return Said(visible(reply.message.text), reply.message.tool_calls, reply=reply)
