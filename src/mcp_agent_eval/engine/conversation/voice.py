"""The history of a conversation, and the way to ask a model for more when each request has its own prompt."""

from __future__ import annotations

from dataclasses import replace

from mcp_agent_eval.engine.conversation.base import Asks, Silent
from mcp_agent_eval.engine.llm.messages import Message, Model, ModelReply, ModelRequest, ToolSpec, Usage

_STILL = "(The caller says nothing yet.)"


class Voice:
    """An agent's history, which contains only words, and its model."""

    def __init__(self, model: Model, journal: Asks, *, temperature: float | None) -> None:
        self._model = model
        self._journal = journal
        self._temperature = temperature
        self._history: list[Message] = []
        self._replies: list[ModelReply] = []

    def hear(self, text: str) -> None:
        """Take in what the caller said, or what happened meanwhile."""
        self._add(Message("user", text))

    def say(self, text: str) -> None:
        """Take in the agent's own words; consecutive ones become one message."""
        if self._history and self._history[-1].role == "assistant":
            text = f"{self._history.pop().text} {text}"
        self._add(Message("assistant", text))

    async def words(self, system: str) -> str:
        """The model's words. Raises ModelError, and Silent when it twice says nothing."""
        return (await self._ask(system, ())).text

    async def words_or_call(self, system: str, tool: ToolSpec) -> Message:
        """The model's words or its call of the tool. Raises Silent when it twice gives neither."""
        return await self._ask(system, (tool,))

    def take_reply(self) -> ModelReply | None:
        """The model's last reply since the previous call of this, with the tokens and time of all replies since
        then."""
        replies, self._replies = self._replies, []
        if not replies:
            return None
        latency = sum(reply.latency_ms for reply in replies)
        return replace(replies[-1], usage=_sum([reply.usage for reply in replies]), latency_ms=latency)

    async def _ask(self, system: str, tools: tuple[ToolSpec, ...]) -> Message:
        for _ in range(2):
            reply = await self._journal.ask(self._model, self._request(system, tools))
            self._replies.append(reply)
            if reply.message.text.strip() or (tools and reply.message.tool_calls):
                return reply.message
        raise Silent(f"The agent's model ({self._model.name}) gave an empty answer twice.")

    def _request(self, system: str, tools: tuple[ToolSpec, ...]) -> ModelRequest:
        """End the history with the caller: some models take one that ends with their own words as an answer to
        continue."""
        spoke_last = bool(self._history) and self._history[-1].role == "assistant"
        still = (Message("user", _STILL),) if spoke_last else ()
        return ModelRequest(
            purpose="agent",
            system=system,
            messages=(*self._history, *still),
            tools=tools,
            temperature=self._temperature,
        )

    def _add(self, message: Message) -> None:
        self._history.append(message)


def _sum(usages: list[Usage]) -> Usage:
    return Usage(
        input=sum(usage.input for usage in usages),
        output=sum(usage.output for usage in usages),
        cache_read=sum(usage.cache_read for usage in usages),
        cache_write=sum(usage.cache_write for usage in usages),
    )
