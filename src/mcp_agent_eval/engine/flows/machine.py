"""Walks a flow, and nothing else: no model, no words, no tools.

The machine is a generator. It yields the next task and is sent the task's outcome. How a task is carried out is up
to the caller: `FlowAgent` asks a model, the simulator compares keywords. Both take the same path, because the path
is decided here.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from mcp_agent_eval.engine.flows import events
from mcp_agent_eval.engine.flows.graph import Choice, Edge, FlowGraph
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import Json, ToolUse
from mcp_agent_eval.types.flow import (
    ConversationNode,
    EndNode,
    FlowConfig,
    Node,
    StartNode,
    ToolCallNode,
    TransferNode,
)

MOST_NODES = 25
"""Nodes that may be entered before the caller gets to speak."""
QUESTIONS = 3
"""How often the caller is asked for a tool's missing arguments."""

TRANSFERRED = "flow_transfer"
ENDED = "flow_end"
TOOL_FAILED = "flow_tool_error"

T = TypeVar("T")


class FlowLoop(EvalError):
    """A flow went from node to node without ever letting the caller speak."""

    code = "FLOW_LOOP"
    status = 400


@dataclass(frozen=True, slots=True)
class Say:
    """Say this text verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Find words that follow these instructions: for the greeting, for a step, for the farewell."""

    opening: str | None = None
    step: str | None = None
    closing: str | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """Judge what the caller said. Answered with the id of a choice, or with None to stay; the caller has then also
    been answered."""

    node: ConversationNode
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Find the arguments of a tool, or ask the caller for them if that is still allowed.
    Answered with `Prepared`."""

    node: ToolCallNode
    may_ask: bool


@dataclass(frozen=True, slots=True)
class Listen:
    """Let the caller speak. Answered with None once they have spoken."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call the tool. Answered with a `ToolUse`."""

    node: ToolCallNode
    arguments: Json


@dataclass(frozen=True, slots=True)
class Over:
    """The conversation is over; `ends` says how. Never answered."""

    ends: str


Inner: TypeAlias = Say | Speak | Pick | Prepare
"""Tasks that are carried out without anyone else."""
Outer: TypeAlias = Listen | Call | Over
"""Tasks at which others have their turn."""
Task: TypeAlias = Inner | Outer
Script: TypeAlias = Generator[Task, Any, T]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known about a tool's arguments: all of them, or which are `missing`, or why it cannot be called at
    all."""

    tool_name: str
    arguments: Json = field(default_factory=dict[str, Any])
    missing: tuple[str, ...] = ()
    error: str | None = None


class FlowMachine:
    """One walk through a flow, with the `arguments` and `results` of tools so far, by node id."""

    def __init__(self, flow: FlowConfig) -> None:
        self._graph = FlowGraph(flow)
        self._events: list[Json] = []
        self._in_a_row: list[str] = []
        self.start = self._graph.start
        self.node: Node = self._graph.start
        self.arguments: dict[str, Json] = {}
        self.results: dict[str, object] = {}

    def script(self) -> Script[None]:
        """The whole conversation as a series of tasks; the last one is `Over`.

        Raises:
            FlowLoop: more than 25 nodes were entered in a row.
        """
        node = yield from self._begin()
        while isinstance(node, ConversationNode | ToolCallNode):
            node = yield from self._pass_through(node)
        yield Over((yield from self._close(node)))

    def take_events(self) -> tuple[Json, ...]:
        """The events since this was last called, in order."""
        taken, self._events = tuple(self._events), []
        return taken

    def _begin(self) -> Script[Node]:
        """Greet, or let the caller begin; this may already enter a conversation node."""
        start = self.start
        self._enter(Edge(start.id, events.START))
        first = Edge(start.next_step_id, events.START)
        node = self._graph.node(first.target)
        if start.auto_advance and isinstance(node, ConversationNode):
            self._enter(first)
            if start.agent_speaks_first:
                yield _greeting(start, node)
            return (yield from self._converse(node))
        if start.agent_speaks_first:
            yield _greeting(start)
        if not (start.agent_speaks_first and start.auto_advance):
            yield from self._listen()
        return self._enter(first)

    def _pass_through(self, node: ConversationNode | ToolCallNode) -> Script[Node | None]:
        """Carry out a node that was just entered; return the next node, if any."""
        if isinstance(node, ToolCallNode):
            return (yield from self._use_tool(node))
        yield Speak(step=node.instructions)
        return (yield from self._converse(node))

    def _converse(self, node: ConversationNode) -> Script[Node]:
        """Talk with the caller until a transition is picked."""
        while True:
            yield from self._listen()
            if edge := (yield from self._pick(node)):
                return self._enter(edge)

    def _pick(self, node: ConversationNode) -> Script[Edge | None]:
        """One turn of the caller; None means stay, and the caller has been answered."""
        choice_id: str | None = yield Pick(node, self._graph.choices(node))
        if choice_id is None:
            self._events.append(events.decided(node.id, events.STAY))
            return None
        edge = self._graph.after_choice(node, choice_id)
        target = edge.target if edge else None
        self._events.append(events.decided(node.id, choice_id, target, valid=edge is not None))
        if edge is None:
            yield Speak(step=node.instructions)
        return edge

    def _use_tool(self, node: ToolCallNode) -> Script[Node | None]:
        """Call the tool once its arguments are known; return the node that its outcome leads to, if any."""
        prepared = yield from self._prepare(node)
        self.arguments[node.id] = prepared.arguments
        use = yield from self._call(node, prepared)
        called = prepared.error is None
        self._events.append(events.tool_result(node, use, prepared.arguments, called=called))
        self.results[node.id] = {"error": use.error} if use.error else use.result
        edge = self._graph.after_tool(node, use)
        return self._enter(edge) if edge else None

    def _prepare(self, node: ToolCallNode, questions: int = 0) -> Script[Prepared]:
        prepared: Prepared = yield Prepare(node, may_ask=questions < QUESTIONS)
        if not prepared.missing:
            return prepared
        if questions == QUESTIONS:
            return replace(prepared, error=_missing(prepared))
        yield from self._listen()
        return (yield from self._prepare(node, questions + 1))

    def _call(self, node: ToolCallNode, prepared: Prepared) -> Script[ToolUse]:
        if prepared.error:
            return ToolUse(id=node.id, name=prepared.tool_name, error=prepared.error)
        if node.pre_fire_announcement:
            yield Say(node.pre_fire_announcement)
        return (yield Call(node, prepared.arguments))

    def _close(self, node: Node | None) -> Script[str]:
        """Say the last words; return how the conversation ended."""
        if isinstance(node, TransferNode):
            yield Say(node.transfer_message or "")
            return TRANSFERRED
        if isinstance(node, EndNode):
            yield _farewell(node)
            return ENDED
        return TOOL_FAILED

    def _listen(self) -> Script[None]:
        yield Listen()
        self._in_a_row.clear()

    def _enter(self, edge: Edge) -> Node:
        self.node = self._graph.node(edge.target)
        self._in_a_row.append(self.node.id)
        if len(self._in_a_row) > MOST_NODES:
            raise FlowLoop(_loop(self._in_a_row))
        self._events.append(events.entered(self.node, edge.reason, edge.via))
        return self.node


def _greeting(start: StartNode, first: ConversationNode | None = None) -> Say | Speak:
    if start.greeting and start.is_literal:
        return Say(start.greeting)
    return Speak(opening=start.greeting or "", step=first.instructions if first else None)


def _farewell(node: EndNode) -> Say | Speak:
    """An end without a farewell is silent, since there is no instruction for one."""
    literal = node.is_literal or not node.farewell
    return Say(node.farewell or "") if literal else Speak(closing=node.farewell)


def _missing(prepared: Prepared) -> str:
    return f"missing_required_args_after_{QUESTIONS}_attempts: {', '.join(prepared.missing)}"


def _loop(ids: list[str]) -> str:
    names = ", ".join(map(repr, dict.fromkeys(ids)))
    return f"The flow entered more than {MOST_NODES} nodes without letting the caller speak: {names}."
