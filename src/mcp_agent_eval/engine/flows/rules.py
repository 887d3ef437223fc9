"""The rules of a flow that concern more than one field: how its nodes connect, and what they refer to.

They are checked on the flow as it was sent, so that a fault in one node does not hide those of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from mcp_agent_eval.engine.flows.paths import is_path
from mcp_agent_eval.engine.flows.templates import METADATA, references
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.flow import GLOBAL_PREFIX, TERMINALS, FlowIssue, IssueCode, raw_nodes, wires

MOST_TOOL_NODES = 127
"""Models accept at most 128 tools, one of which picks transitions."""


def broken_rules(config: Json, tools: Collection[str]) -> list[FlowIssue]:
    """Every rule that the flow breaks. `tools` are the ids and names of the existing tools."""
    nodes = raw_nodes(config)
    if not isinstance(config.get("nodes"), list):
        return []
    return [
        *_beginning(nodes),
        *_ending(nodes),
        *_too_many_tools(nodes),
        *_doubles(nodes),
        *_strangers(nodes),
        *_unreachable(nodes),
        *_undescribed(nodes),
        *_unusable_ids(nodes),
        *_unknown_tools(nodes, tools),
        *_bad_paths(nodes),
        *_dangling(nodes),
    ]


def _issue(node: Json | None, code: IssueCode, message: str) -> FlowIssue:
    return FlowIssue(node_id=node["id"] if node else None, code=code, message=message)


def _of_type(nodes: Iterable[Json], *types: str) -> list[Json]:
    return [node for node in nodes if node.get("type") in types]


def _beginning(nodes: list[Json]) -> Iterator[FlowIssue]:
    starts = _of_type(nodes, "start")
    if not starts:
        yield _issue(None, "no_start", "There is no start node.")
    for extra in starts[1:]:
        yield _issue(extra, "multiple_starts", f"There is already a start node: {starts[0]['id']!r}.")


def _ending(nodes: list[Json]) -> Iterator[FlowIssue]:
    if not _of_type(nodes, *TERMINALS):
        yield _issue(
            None, "no_terminal", "There is neither an end nor a transfer node, so no conversation could end."
        )


def _too_many_tools(nodes: list[Json]) -> Iterator[FlowIssue]:
    count = len(_of_type(nodes, "tool_call"))
    if count > MOST_TOOL_NODES:
        message = f"There are {count} tool_call nodes, but at most {MOST_TOOL_NODES} are allowed."
        yield _issue(None, "too_many_extraction_contracts", message)


def _doubles(nodes: list[Json]) -> Iterator[FlowIssue]:
    for id, count in Counter(node["id"] for node in nodes).items():
        if count > 1:
            yield _issue({"id": id}, "schema_invalid", f"id: {count} nodes have this id; each needs its own.")


def _strangers(nodes: list[Json]) -> Iterator[FlowIssue]:
    """Connections that lead to no node, or to one that cannot be entered again."""
    types = {node["id"]: node.get("type") for node in nodes}
    for node in nodes:
        for wire in wires(node):
            if wire.target not in types:
                message = f"{wire.id!r} leads to {wire.target!r}, but there is no such node."
                yield _issue(node, "unknown_target_node", message)
            elif types[wire.target] == "start":
                yield _issue(node, "schema_invalid", f"{wire.id!r} leads back to the start node.")


def _unreachable(nodes: list[Json]) -> Iterator[FlowIssue]:
    """Nodes that cannot be reached. Not reported if the start leads nowhere: that would only blame every node."""
    starts = _of_type(nodes, "start")
    if not any(wires(start) for start in starts):
        return
    roots = [node["id"] for node in nodes if node.get("type") == "start" or node.get("is_global") is True]
    reached = _reached_from(roots, {node["id"]: node for node in nodes})
    for node in nodes:
        if node["id"] not in reached:
            yield _issue(node, "unreachable_node", "This node cannot be reached from the start.")


def _reached_from(roots: list[str], nodes: dict[str, Json]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        id = waiting.pop()
        if id in nodes and id not in reached:
            reached.add(id)
            waiting += [wire.target for wire in wires(nodes[id])]
    return reached


def _undescribed(nodes: list[Json]) -> Iterator[FlowIssue]:
    for node in _of_type(nodes, "conversation"):
        for index, transition in enumerate(_objects(node.get("transitions"))):
            if not any(_text(transition.get(key)) for key in ("label", "description")):
                message = f"transitions[{index}] needs a description (or a label) that says when to take it."
                yield _issue(node, "transition_description_missing", message)


def _unusable_ids(nodes: list[Json]) -> Iterator[FlowIssue]:
    """Transition ids that would not tell which transition a model means."""
    for node in _of_type(nodes, "conversation"):
        ids = Counter(_text(transition.get("id")) for transition in _objects(node.get("transitions")))
        for id, count in ids.items():
            if id and count > 1:
                yield _issue(node, "schema_invalid", f"transitions: {count} of them have the id {id!r}.")
            if id.startswith(GLOBAL_PREFIX):
                message = f"transitions: the id {id!r} begins like a jump to a global node."
                yield _issue(node, "schema_invalid", message)


def _objects(items: object) -> list[Json]:
    listed = cast(list[object], items) if isinstance(items, list) else []
    return [cast(Json, item) for item in listed if isinstance(item, dict)]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _unknown_tools(nodes: list[Json], tools: Collection[str]) -> Iterator[FlowIssue]:
    there_are = f"There are: {', '.join(sorted(tools))}." if tools else "There are none."
    for node in _of_type(nodes, "tool_call"):
        tool = _text(node.get("tool_id"))
        if tool and node["tool_id"] not in tools:
            message = f"tool_id: the agent has no tool {tool!r}, by id or by name. {there_are}"
            yield _issue(node, "tool_id_missing", message)


def _bad_paths(nodes: list[Json]) -> Iterator[FlowIssue]:
    for node in _of_type(nodes, "tool_call"):
        transitions: Any = node.get("transitions")
        for custom in _objects(
            cast(Json, transitions).get("custom") if isinstance(transitions, dict) else None
        ):
            path = custom.get("jsonpath")
            if isinstance(path, str) and not is_path(path):
                message = f"jsonpath: {path!r} does not have the form $.a.b or $.list[0].c."
                yield _issue(node, "schema_invalid", message)


def _dangling(nodes: list[Json]) -> Iterator[FlowIssue]:
    """Slots that would always stay empty, since only the arguments of tool nodes have values."""
    known = {METADATA, *(node["id"] for node in _of_type(nodes, "tool_call"))}
    for node in _of_type(nodes, "tool_call"):
        for name in dict.fromkeys(references(node.get("config_override"))):
            if name not in known:
                message = f"config_override: {{{{{name}.…}}}} does not name a tool_call node of this flow."
                yield _issue(node, "args_template_dangling_reference", message)
