"""The agent under test when it runs elsewhere, with its own prompt and usually its own tools."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from mcp_agent_eval.engine.conversation.base import Asks, Said, visible
from mcp_agent_eval.engine.endpoints.answers import Report, extras_of
from mcp_agent_eval.engine.llm.messages import Message, Model, ModelRequest, ToolSpec
from mcp_agent_eval.engine.tools.acting import result_text
from mcp_agent_eval.types import AgentDraft, ToolUse
from mcp_agent_eval.types.endpoint import Endpoint
from mcp_agent_eval.types.variables import fill

ENDPOINT = "endpoint"
"""How a conversation ended when an agent elsewhere said that it is over."""


class EndpointAgent:
    """Speaks for an endpoint. The record's tools are those that it leaves to its caller; a webhook leaves none."""

    def __init__(
        self,
        agent: AgentDraft,
        endpoint: Endpoint,
        model: Model,
        journal: Asks,
        *,
        run_id: str,
        at: datetime,
    ) -> None:
        self._greeting = visible(fill(agent.greeting_message or "", agent.variables, at))
        self._model = model
        self._journal = journal
        self._run = UUID(run_id)
        offered = agent.tools if endpoint.protocol == "openai" else []
        self._tools = tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in offered)
        self._closing = {tool.name for tool in agent.tools if tool.type == "system"}
        self._history: list[Message] = []
        self._reported = 0

    def greet(self) -> Said | None:
        """The greeting of the record. Without one, the endpoint is asked to open."""
        if not self._greeting:
            return None
        self._history.append(Message("assistant", self._greeting))
        return Said(self._greeting)

    def hear(self, text: str) -> None:
        """Take in the caller's words."""
        self._history.append(Message("user", text))

    def take_results(self, results: Sequence[ToolUse]) -> None:
        """Take in the outcomes of the tools that were left to us, in the order of the calls."""
        for result in results:
            self._history.append(Message("tool", result_text(result), tool_call_id=result.id))

    async def speak(self) -> Said:
        """The endpoint's next step. Tools that it ran itself are in `reported`.

        Raises:
            ModelError: the endpoint failed; the message names its host and what was wrong.
        """
        reply = await self._journal.ask(self._model, self._request())
        self._history.append(reply.message)
        extras = extras_of(reply.message)
        ends = extras.ends or any(report.name in self._closing for report in extras.reports)
        return Said(
            visible(reply.message.text),
            reply.message.tool_calls,
            reply=reply,
            reported=tuple(map(self._use, extras.reports)),
            ends=ENDPOINT if ends else None,
        )

    def _request(self) -> ModelRequest:
        return ModelRequest("agent", "", tuple(self._history), self._tools)

    def _use(self, report: Report) -> ToolUse:
        """An id that stays the same when a run is resumed; an endpoint's own ids may repeat."""
        self._reported += 1
        return ToolUse(
            id=str(uuid5(self._run, f"reported {self._reported}")),
            name=report.name,
            args=report.args,
            raw_args=report.raw,
            result=report.result,
            error=report.error,
            mocked=False,
        )
