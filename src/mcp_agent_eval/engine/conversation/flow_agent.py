"""The agent under test when it is a flow: the flow's machine, with a model to decide and to talk.

The machine says what to do; this module does it. When others have their turn, the step becomes the agent's
contribution: words, a tool call, or the end. Nothing here depends on a clock or on chance, so a run that is given
its recorded answers again takes the same path.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mcp_agent_eval.engine.conversation import flow_prompt
from mcp_agent_eval.engine.conversation.base import Asks, Said
from mcp_agent_eval.engine.conversation.voice import Voice
from mcp_agent_eval.engine.flows import calling
from mcp_agent_eval.engine.flows.machine import (
    Call,
    FlowMachine,
    Inner,
    Listen,
    Outer,
    Over,
    Pick,
    Prepare,
    Prepared,
    Say,
    Speak,
    Task,
)
from mcp_agent_eval.engine.flows.templates import METADATA, fill_slots
from mcp_agent_eval.engine.llm.messages import Message, Model, ToolCall, ToolSpec
from mcp_agent_eval.engine.tools.acting import result_text
from mcp_agent_eval.types import AgentDraft, Json, Tool, ToolUse
from mcp_agent_eval.types.flow import FlowConfig, StartNode, ToolCallNode
from mcp_agent_eval.types.variables import fill


class FlowAgent:
    """Plays a flow. `tools` are those that its nodes may call, by id or name."""

    def __init__(
        self,
        agent: AgentDraft,
        flow: FlowConfig,
        tools: Sequence[Tool],
        model: Model,
        journal: Asks,
        *,
        at: datetime,
    ) -> None:
        self._agent = agent
        self._at = at
        self._tools = {tool.name: tool for tool in tools} | {tool.id: tool for tool in tools if tool.id}
        self._metadata = _metadata(agent, flow)
        self._base = fill(agent.system_prompt, agent.variables, at)
        self._voice = Voice(model, journal, temperature=agent.temperature)
        self._words: list[str] = []
        self._known: Json = {}
        self._called: list[Tool] = []
        self._outcome: ToolUse | None = None
        self._machine = FlowMachine(_with_greeting_of(agent, flow))
        self._script = self._machine.script()
        self._task: Task = next(self._script)

    @property
    def opens(self) -> bool:
        """Whether the agent speaks first, which the start node decides."""
        return self._machine.start.agent_speaks_first

    def tool_called(self, call: ToolCall) -> Tool | None:
        """The tool as configured by the node that called it: with `config_override` applied and slots filled."""
        return next((tool for tool in reversed(self._called) if tool.name == call.name), None)

    def greet(self) -> Said | None:
        """The greeting, if no model is needed for it."""
        while isinstance(self._task, Say):
            self._say(self._filled(self._task.text))
            self._task = self._script.send(None)
        return self._said(self._task) if isinstance(self._task, Listen) and self._words else None

    def hear(self, text: str) -> None:
        """Take in the caller's words."""
        self._voice.hear(text)

    def take_results(self, results: Sequence[ToolUse]) -> None:
        """Take in the outcome of the called tool."""
        for result in results:
            self._outcome = result
            self._voice.hear(flow_prompt.tool_block(result.name, result_text(result)))

    async def speak(self) -> Said:
        """The next step: words, a tool call or both, or the end; with the events that led to it.

        Raises:
            FlowLoop: the flow goes from node to node endlessly.
            Silent: the model gave an empty answer twice.
            ModelError: the model failed for good.
        """
        task = self._resumed()
        while not isinstance(task, Outer):
            task = self._script.send(await self._carry_out(task))
        self._task = task
        return self._said(task)

    def _resumed(self) -> Task:
        """The task to continue with, now that the others have had their turn."""
        if isinstance(self._task, Listen):
            return self._script.send(None)
        if isinstance(self._task, Call):
            return self._script.send(self._outcome)
        return self._task

    async def _carry_out(self, task: Inner) -> object:
        match task:
            case Say(text):
                return self._say(self._filled(text))
            case Speak():
                return self._say(await self._speech(task))
            case Pick():
                return await self._pick(task)
            case Prepare():
                return await self._prepare(task)

    # --- Words

    async def _speech(self, task: Speak) -> str:
        texts = {"opening": task.opening, "step": task.step, "closing": task.closing}
        filled = {key: None if text is None else self._filled(text) for key, text in texts.items()}
        return await self._voice.words(flow_prompt.speaking(self._base, **filled))

    def _say(self, text: str) -> None:
        if text.strip():
            self._words.append(text)
            self._voice.say(text)

    def _filled(self, text: str) -> str:
        return fill_slots(text, self._scopes(), lambda slot: fill(slot, self._agent.variables, self._at))

    def _scopes(self) -> dict[str, Json]:
        return {**self._machine.arguments, METADATA: self._metadata}

    # --- Decisions

    async def _pick(self, task: Pick) -> str | None:
        """The model's pick. Words without a pick answer the caller; words next to one are not spoken."""
        step = self._filled(task.node.instructions)
        message = await self._voice.words_or_call(
            flow_prompt.choosing(self._base, step, task.choices), flow_prompt.pick_tool(task.choices)
        )
        if message.tool_calls:
            return str(message.tool_calls[0].args.get(flow_prompt.PICKED, ""))
        self._say(message.text)
        return None

    # --- Tools

    async def _prepare(self, task: Prepare) -> Prepared:
        """The arguments of a tool that the caller has given during this visit to its node."""
        tool = self._tool_of(task.node)
        if tool is None:
            name = task.node.tool_id
            return Prepared(name, error=f"The agent has no active tool {name!r}.")
        if calling.takes_nothing(tool):
            return Prepared(tool.name)
        prepared = await self._collect(tool, task.may_ask)
        self._known = prepared.arguments if prepared.missing and task.may_ask else {}
        return prepared

    async def _collect(self, tool: Tool, may_ask: bool) -> Prepared:
        message = await self._voice.words_or_call(
            flow_prompt.collecting(self._base, tool.name, self._known),
            ToolSpec(tool.name, tool.description, tool.parameters),
        )
        told = _arguments(message, tool)
        known = self._known | (told or {})
        missing = tuple(name for name in calling.required(tool) if name not in known)
        if told is None and may_ask:
            missing = missing or tuple(tool.parameters["properties"])
        if missing and may_ask:
            self._say(
                message.text.strip() or await self._voice.words(flow_prompt.asking(self._base, missing))
            )
        return Prepared(tool.name, known, missing)

    def _tool_of(self, node: ToolCallNode) -> Tool | None:
        tool = self._tools.get(node.tool_id)
        return calling.as_node_has_it(tool, node) if tool else None

    def _call(self, task: Call) -> ToolCall:
        tool = self._tool_of(task.node)
        assert tool is not None, "only a tool that was found is called"
        self._called.append(calling.with_slots_filled(tool, lambda text: fill_slots(text, self._scopes())))
        return ToolCall(f"{task.node.id}-{len(self._called)}", tool.name, task.arguments)

    # --- What the others see

    def _said(self, task: Outer) -> Said:
        words, self._words = " ".join(self._words), []
        return Said(
            words,
            (self._call(task),) if isinstance(task, Call) else (),
            reply=self._voice.take_reply(),
            events=self._machine.take_events(),
            ends=task.ends if isinstance(task, Over) else None,
        )


def _arguments(message: Message, tool: Tool) -> Json | None:
    """The model's arguments for the tool, without empty ones; None when it did not call it."""
    for call in message.tool_calls:
        if call.name == tool.name:
            return {key: value for key, value in call.args.items() if not _is_empty(value)}
    return None


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _metadata(agent: AgentDraft, flow: FlowConfig) -> Json:
    """The built-in metadata of a text conversation, and the flow's own keys with values from its variables."""
    own = {key: agent.variables.get(key) for key in flow.metadata.custom_metadata_keys}
    return own | {"agent_name": agent.name, "direction": "inbound"}


def _with_greeting_of(agent: AgentDraft, flow: FlowConfig) -> FlowConfig:
    """The flow, with the agent's greeting if the start node has none."""
    if not agent.greeting_message:
        return flow
    nodes = [
        _greeting(node, agent.greeting_message) if isinstance(node, StartNode) else node
        for node in flow.nodes
    ]
    return flow.model_copy(update={"nodes": nodes})


def _greeting(start: StartNode, text: str) -> StartNode:
    return start if start.greeting else start.model_copy(update={"greeting": text, "is_literal": True})
