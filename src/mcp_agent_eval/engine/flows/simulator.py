"""Walks a flow without a model: keywords decide, tools are mocked, no one speaks and nothing is stored.

It takes the same path as an agent that picks the same transitions, since both follow the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from mcp_agent_eval.engine.flows.keywords import nearest
from mcp_agent_eval.engine.flows.machine import Call, FlowMachine, Listen, Over, Pick, Prepare, Prepared, Task
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json, ToolUse
from mcp_agent_eval.types.base import Model
from mcp_agent_eval.types.flow import FlowConfig, ToolCallNode
from mcp_agent_eval.validation import validated

_CALLERS = ("user", "caller", "persona")
_SUCCESS = {"success": True}


class Line(Model):
    """A line of a transcript. Those of the agent change nothing."""

    role: Literal["user", "caller", "persona", "agent", "assistant"]
    text: str


class Outcome(Model):
    """The outcome of a tool node: a result or an error."""

    result: object = None
    error: str | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Outcome:
        if len(self.model_fields_set) != 1 or self.error == "":
            raise ValueError("needs either `result` or `error`")
        return self


class _Plan(Model):
    transcript: list[Line]
    mock_tool_results: dict[str, Outcome] = Field(default_factory=dict[str, Outcome])


def simulate(flow: FlowConfig, transcript: Sequence[Json], mock_tool_results: Mapping[str, Json]) -> Json:
    """Walk a flow by what a caller says, until there are no more lines or the flow ends.

    `transcript` contains `{role, text}`; `mock_tool_results` maps the id of a tool node to `{result}` or `{error}`,
    and other tools succeed. Returns `{trace, named_results, slot_values, ended_at_step_id}`: the flow's events,
    results and arguments by node id, and the node where it stopped.

    Raises:
        InvalidInput: a line or a mock has the wrong shape, or a mock is not for a tool node of the flow.
        FlowLoop: the flow goes from node to node endlessly.
    """
    mocks = dict(mock_tool_results)
    plan = validated(_Plan, {"transcript": list(transcript), "mock_tool_results": mocks})
    _check_mocks(flow, mocks)
    machine = FlowMachine(flow)
    _walk(machine, plan)
    return {
        "trace": list(machine.take_events()),
        "named_results": machine.results,
        "slot_values": {id: arguments for id, arguments in machine.arguments.items() if arguments},
        "ended_at_step_id": machine.node.id,
    }


def _check_mocks(flow: FlowConfig, mocks: Mapping[str, Json]) -> None:
    tool_nodes = [node.id for node in flow.nodes if isinstance(node, ToolCallNode)]
    if unknown := sorted(mocks.keys() - set(tool_nodes)):
        there_are = f"They are: {', '.join(tool_nodes)}." if tool_nodes else "It has none."
        raise InvalidInput(
            f"mock_tool_results: {unknown[0]!r} is not a tool_call node of the flow. {there_are}",
        )


def _walk(machine: FlowMachine, plan: _Plan) -> None:
    """Carry out the machine's tasks until there is nothing left to say."""
    caller = (line.text for line in plan.transcript if line.role in _CALLERS)
    heard: str | None = ""
    answer: object = None
    script = machine.script()
    while not isinstance(task := script.send(answer), Over):
        if isinstance(task, Listen) and (heard := next(caller, None)) is None:
            return
        answer = _answer(task, heard or "", plan)


def _answer(task: Task, heard: str, plan: _Plan) -> Any:
    match task:
        case Pick():
            choice = nearest(heard, task.choices)
            return choice.id if choice else None
        case Prepare():
            return Prepared(task.node.tool_id)
        case Call():
            return _outcome(task.node, plan.mock_tool_results.get(task.node.id))
        case _:
            return None


def _outcome(node: ToolCallNode, mock: Outcome | None) -> ToolUse:
    mock = mock or Outcome(result=_SUCCESS)
    return ToolUse(id=node.id, name=node.tool_id, result=mock.result, error=mock.error, mocked=True)
