"""The only code that may let a tool act, and the results when none may.

Under the policy `mock` nothing acts: results come from the case or are generated. Under `real` every tool acts,
under `allowlist` only the named ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import anyio.to_thread

from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.tools.mocks.values import CannotMock, mock_tool_result
from mcp_agent_eval.engine.tracing.steps import tell_use, tool_span
from mcp_agent_eval.types import Json, Tool, ToolPolicy, ToolUse

Fire = Callable[[Tool, ToolCall], Awaitable[ToolUse]]
"""Lets a tool act once. Failures are outcomes as well."""


async def never(tool: Tool, call: ToolCall) -> ToolUse:
    """Used when no tool may act."""
    raise AssertionError(f"{tool.name} must not act")


@dataclass(frozen=True, slots=True)
class Acting:
    """Which tools act, and how. `mocks` are the case's own results for those that do not."""

    policy: ToolPolicy = "mock"
    allowlist: Collection[str] = ()
    mocks: Mapping[str, Json] = field(default_factory=dict[str, Json])
    fire: Fire = never


class Tools:
    """Answers the calls of one run.

    A mocked result is the case's own, in turn if there are several, or else a value for the declared output schema
    that depends on `seed`, the tool and its arguments: a retried or resumed call gets the same one.
    """

    def __init__(self, tools: Sequence[Tool], *, seed: str, acting: Acting | None = None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._seed = seed
        self._acting = acting or Acting()
        self._answered: Counter[str] = Counter()

    def ends_conversation(self, call: ToolCall) -> bool:
        """Whether this is a call of a system tool: hanging up, or transferring the caller."""
        tool = self._tools.get(call.name)
        return tool is not None and tool.type == "system"

    def acts(self, call: ToolCall) -> bool:
        """Whether this call would really act: a valid call of a tool that may."""
        tool = self._tools.get(call.name)
        if tool is None or tool.type == "system" or call.raw is not None:
            return False
        policy = self._acting.policy
        return policy == "real" or (policy == "allowlist" and call.name in self._acting.allowlist)

    async def fire(self, call: ToolCall) -> ToolUse:
        """Act, and return the outcome."""
        with tool_span(call):
            return tell_use(await self._acting.fire(self._tools[call.name], call))

    async def mock(self, call: ToolCall) -> ToolUse:
        """The outcome of a call that does not act; an invalid call gets an error for the agent to read, like a real
        one."""
        with tool_span(call):
            return tell_use(await self._made_up(call))

    async def _made_up(self, call: ToolCall) -> ToolUse:
        tool = self._tools.get(call.name)
        if tool is None:
            return failed(call, f"There is no tool {call.name!r}.")
        if call.raw is not None:
            return failed(call, "The arguments are not a JSON object.")
        if call.name in self._acting.mocks:
            return self._given(self._acting.mocks[call.name], call)
        if tool.output_schema is None:
            return self._fabricate(tool, call)
        # A value for a complex schema may take long, and other runs should not wait for it.
        return await anyio.to_thread.run_sync(self._fabricate, tool, call)

    def _given(self, mock: Json, call: ToolCall) -> ToolUse:
        """The case's result; the next one of several, and the last one from then on."""
        number = self._answered[call.name]
        self._answered[call.name] += 1
        if "error" in mock:
            return failed(call, mock["error"])
        results = mock.get("results") or [mock.get("result")]
        return ToolUse(id=call.id, name=call.name, result=results[min(number, len(results) - 1)], mocked=True)

    def _fabricate(self, tool: Tool, call: ToolCall) -> ToolUse:
        seed = json.dumps([self._seed, call.name, call.args], sort_keys=True)
        try:
            result = mock_tool_result(tool.output_schema, seed=seed)
        except CannotMock as exc:
            return failed(call, f"No result could be generated for the tool's output_schema: {exc}")
        return ToolUse(id=call.id, name=call.name, result=result, mocked=True)


def failed(call: ToolCall, error: str, *, mocked: bool = True) -> ToolUse:
    """The outcome of a failed call."""
    return ToolUse(id=call.id, name=call.name, error=error, mocked=mocked)


def result_text(use: ToolUse) -> str:
    """An outcome as shown to a model and in a transcript: the text itself, or JSON."""
    value = {"error": use.error} if use.error else use.result
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
