"""The only code that may let a tool act. Under the policy `mock` nothing acts: results are fabricated."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.mocks.values import CannotMock, mock_tool_result
from mcp_agent_eval.types import Tool, ToolUse


class MockedTools:
    """Answers every call with a value of the tool's declared output schema, the same one every time.

    The value depends on `seed`, the tool and its arguments, so a retried or resumed call gets it again.
    """

    def __init__(self, tools: Sequence[Tool], *, seed: str) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._seed = seed

    def ends_conversation(self, call: ToolCall) -> bool:
        """Whether this is a call of a system tool: hanging up, or handing the caller over."""
        tool = self._tools.get(call.name)
        return tool is not None and tool.type == "system"

    def use(self, call: ToolCall) -> ToolUse:
        """The outcome of one call; a wrong call has an error for the agent to read, as a real one would."""
        tool = self._tools.get(call.name)
        if tool is None:
            return _failed(call, f"There is no tool {call.name!r}.")
        if call.raw is not None:
            return _failed(call, "The arguments are not a JSON object.")
        return self._fabricate(tool, call)

    def _fabricate(self, tool: Tool, call: ToolCall) -> ToolUse:
        seed = json.dumps([self._seed, call.name, call.args], sort_keys=True)
        try:
            result = mock_tool_result(tool.output_schema, seed=seed)
        except CannotMock as exc:
            return _failed(call, f"No result could be made up for the tool's output_schema: {exc}")
        return ToolUse(id=call.id, name=call.name, result=result, mocked=True)


def _failed(call: ToolCall, error: str) -> ToolUse:
    return ToolUse(id=call.id, name=call.name, error=error, mocked=True)


def result_text(use: ToolUse) -> str:
    """What a model and a transcript are shown of an outcome: the text itself, or JSON."""
    value = {"error": use.error} if use.error else use.result
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
