"""Checks a flow before it is saved: reports everything that is wrong with it at once, in the contract's codes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mcp_agent_eval.engine.flows.rules import broken_rules
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.flow import FlowConfig, FlowIssue, IssueCode, raw_nodes
from mcp_agent_eval.validation import spelled, what_is_wrong

_TYPES = "start, conversation, tool_call, transfer or end"
_RETIRED = (
    "type: integration_call was retired. Use a tool_call node, with a webhook tool that calls the service"
)


class FlowInvalid(InvalidInput):
    """A `flow_config` that breaks rules. `issues` lists all of its problems."""

    code = "FLOW_INVALID"

    def __init__(self, issues: list[FlowIssue]) -> None:
        rules = "a rule" if len(issues) == 1 else f"{len(issues)} rules"
        super().__init__(f"flow_config breaks {rules}.", hint="`issues` lists every problem with its node.")
        self.issues = issues

    def as_dict(self) -> dict[str, Any]:
        """The contract's error body with `issues`; one that is not about a single node names none."""
        told = [{name: item for name, item in issue.items() if item is not None} for issue in self.issues]
        return super().as_dict() | {"issues": told}


def read_flow(config: Json, *, tools: Collection[str]) -> FlowConfig:
    """The flow described by a `flow_config`. `tools` are the ids and names that its nodes may refer to.

    Raises:
        FlowInvalid: it breaks at least one rule; all broken rules are reported.
    """
    flow, issues = _parsed(config)
    issues += broken_rules(config, tools)
    if flow is None or issues:
        raise FlowInvalid(_in_order(issues, config))
    return flow


def _parsed(config: Json) -> tuple[FlowConfig | None, list[FlowIssue]]:
    try:
        return FlowConfig.model_validate(config), []
    except ValidationError as exc:
        return None, [_issue(problem, config) for problem in exc.errors(include_url=False)]


class _Place(NamedTuple):
    """Where a problem is: the node, its number and type as far as known, and the path within it."""

    node: Json
    number: int | None
    path: tuple[str | int, ...]

    @property
    def node_id(self) -> str | None:
        id = self.node.get("id")
        return id if isinstance(id, str) else None

    @property
    def field(self) -> tuple[str, ...]:
        """The path without numbers, below the type of the node."""
        names = tuple(part for part in self.path if isinstance(part, str))
        return (str(self.node.get("type")), *names)

    def in_words(self) -> str:
        if self.number is None or self.node_id is not None:
            return spelled(self.path)
        return spelled(("nodes", self.number, *self.path))


_WHAT_MISSING_MEANS: dict[tuple[str, ...], tuple[IssueCode, str]] = {
    ("start", "next_step_id"): ("start_unwired", "the start leads nowhere"),
    ("conversation", "instructions"): ("instructions_missing", "the agent is not told what to do here"),
    ("conversation", "transitions"): (
        "terminal_not_allowed",
        "a conversation node needs at least one; only transfer and end may be the last",
    ),
    ("conversation", "transitions", "next_step_id"): ("unknown_target_node", "the transition leads nowhere"),
    ("tool_call", "tool_id"): ("tool_id_missing", "there is no tool to call"),
    ("tool_call", "transitions"): ("success_not_wired", "success leads nowhere"),
    ("tool_call", "transitions", "success_next_step_id"): ("success_not_wired", "success leads nowhere"),
    ("tool_call", "transitions", "custom", "next_step_id"): ("unknown_target_node", "the edge leads nowhere"),
    ("transfer", "transfer_to"): ("transfer_to_missing", "there is no transfer target"),
}


def _issue(problem: ErrorDetails, config: Json) -> FlowIssue:
    place = _place(problem["loc"], config)
    missing = _WHAT_MISSING_MEANS.get(place.field) if _is_nothing(problem) else None
    if missing:
        code, meaning = missing
        return FlowIssue(
            node_id=place.node_id, code=code, message=f"{place.in_words()} is missing: {meaning}."
        )
    return FlowIssue(node_id=place.node_id, code="schema_invalid", message=f"{_in_words(problem, place)}.")


def _place(loc: tuple[str | int, ...], config: Json) -> _Place:
    """Pydantic puts a node's type between its number and the fields."""
    if len(loc) < 2 or loc[0] != "nodes" or not isinstance(loc[1], int):
        return _Place({}, None, loc)
    node: object = config["nodes"][loc[1]]
    return _Place(cast(Json, node) if isinstance(node, dict) else {}, loc[1], loc[3:])


def _is_nothing(problem: ErrorDetails) -> bool:
    given = problem["input"]
    return (
        problem["type"] == "missing" or given in (None, []) or (isinstance(given, str) and not given.strip())
    )


def _in_words(problem: ErrorDetails, place: _Place) -> str:
    kind = problem["type"]
    if kind.startswith("union_tag"):
        retired = place.node.get("type") == "integration_call"
        return _RETIRED if retired else f"type: a node is one of {_TYPES}"
    where = place.in_words()
    return f"{where}: {what_is_wrong(problem)}" if where else f"the node {what_is_wrong(problem)}"


def _in_order(issues: list[FlowIssue], config: Json) -> list[FlowIssue]:
    """Sort: problems with the whole flow first, then node by node."""
    order = {node["id"]: number for number, node in enumerate(raw_nodes(config))}
    return sorted(issues, key=lambda issue: order.get(issue["node_id"] or "", -1))
