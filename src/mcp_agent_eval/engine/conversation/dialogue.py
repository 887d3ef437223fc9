"""One side of a dialogue as its model sees it: its own words as assistant, everyone else's as user."""

from __future__ import annotations

from mcp_agent_eval.engine.conversation.base import Journal, Silent
from mcp_agent_eval.engine.llm.messages import Message, Model, ModelReply, ModelRequest, ToolSpec
from mcp_agent_eval.types import ModelRole


class Dialogue:
    """The history of one participant, and the way to ask its model for the next message."""

    def __init__(
        self,
        role: ModelRole,
        model: Model,
        journal: Journal,
        *,
        system: str,
        tools: tuple[ToolSpec, ...] = (),
        temperature: float | None = None,
    ) -> None:
        self._role: ModelRole = role
        self._model = model
        self._journal = journal
        self._system = system
        self._tools = tools
        self._temperature = temperature
        self._history: list[Message] = []

    def add(self, message: Message) -> None:
        """Append to the history."""
        self._history.append(message)

    async def ask(self) -> ModelReply:
        """The model's next message, not yet part of the history.

        A model occasionally gives an empty answer; it is then asked once more.

        Raises:
            ModelError: the model could not be reached or refused.
            Silent: it twice gave neither text nor a tool call.
        """
        for _ in range(2):
            reply = await self._journal.ask(self._model, self._request())
            if reply.message.text.strip() or reply.message.tool_calls:
                return reply
        raise Silent(f"The {self._role}'s model ({self._model.name}) gave an empty answer twice.")

    def _request(self) -> ModelRequest:
        return ModelRequest(
            purpose=self._role,
            system=self._system,
            messages=tuple(self._history),
            tools=self._tools,
            temperature=self._temperature,
        )
