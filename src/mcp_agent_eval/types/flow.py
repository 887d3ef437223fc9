"""A flow: the content of `flow_config` when an agent is a graph of steps instead of one prompt.

These are shapes only. Whether the steps fit together is checked when a flow is saved; how a flow is walked, and
what is said at a step, is up to the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mcp_agent_eval.types.base import Json, Model, Text

GLOBAL_PREFIX = "__global_"
"""Prefix of a node's id: the choice to jump to that global node. No transition id may begin with it."""

IssueCode = Literal[
    "no_start",
    "multiple_starts",
    "start_unwired",
    "instructions_missing",
    "transition_description_missing",
    "tool_id_missing",
    "success_not_wired",
    "transfer_to_missing",
    "terminal_not_allowed",
    "no_terminal",
    "unreachable_node",
    "unknown_target_node",
    "schema_invalid",
    "args_template_dangling_reference",
    "too_many_extraction_contracts",
]
"""What can be wrong with a flow. The contract's other codes are about `integration_call`, which was retired and is
always refused."""


class FlowIssue(TypedDict):
    """One problem with a flow. `node_id` is null when the problem is not in a single node."""

    node_id: str | None
    code: IssueCode
    message: str


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value


Wired = Annotated[str | None, BeforeValidator(_blank_is_none)]
"""The id of the next node, or None when nothing is connected; editors may write that as an empty string."""


def _is_scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("must be a string, a number, true, false or null")
    return value


Scalar = Annotated[object, AfterValidator(_is_scalar)]


class FlowPart(Model):
    """A piece of a flow. Keys that begin with `_` are the author's notes and are dropped."""

    @model_validator(mode="before")
    @classmethod
    def _leave_notes_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = cast(Json, value)
        return {key: item for key, item in fields.items() if not key.startswith("_")}


class Transition(FlowPart):
    """A way on from a conversation node: `description`, or else `label`, says when to take it."""

    id: Text
    label: str | None = None
    description: str | None = None
    next_step_id: Text


class CustomTransition(FlowPart):
    """A way on from a tool, taken when the value at `jsonpath` in the tool's result is `equals`."""

    id: Text
    label: str | None = None
    jsonpath: str
    equals: Scalar
    next_step_id: Text


class ToolTransitions(FlowPart):
    """Where a tool node leads: exactly one of these edges is taken."""

    success_next_step_id: Text
    error_next_step_id: Wired = None
    custom: list[CustomTransition] = Field(default_factory=list[CustomTransition])


class FlowNode(FlowPart):
    """The fields common to all nodes. `position` is where an editor draws the node."""

    id: Text
    name: str | None = None
    position: Json | None = None

    @property
    def title(self) -> str:
        """The name shown to people."""
        return self.name or self.id


class GlobalNode(FlowNode):
    """A node that every conversation node may jump to if `is_global` is set."""

    is_global: bool = False
    global_jump_description: str | None = None


class StartNode(FlowNode):
    """The node where a conversation begins. Its settings replace those of the agent.

    An `is_literal` greeting is spoken verbatim; any other is an instruction. With `auto_advance` the first node is
    entered together with the greeting, otherwise once the caller has replied to it.
    """

    type: Literal["start"]
    agent_speaks_first: bool = True
    greeting: str | None = None
    is_literal: bool = False
    next_step_id: Text
    auto_advance: bool = True


class ConversationNode(GlobalNode):
    """A step in which the agent talks until one of its transitions is picked."""

    type: Literal["conversation"]
    instructions: Text
    transitions: Annotated[list[Transition], Field(min_length=1)]


class ToolCallNode(FlowNode):
    """A step that calls a tool, found by id or name, as soon as the step is entered and the arguments are known.

    `config_override` replaces top-level keys of the tool's config as a whole. `timeout_secs` is in seconds.
    """

    type: Literal["tool_call"]
    tool_id: Text
    config_override: Json | None = None
    pre_fire_announcement: str | None = None
    timeout_secs: Annotated[float, Field(gt=0, le=600)] | None = None
    transitions: ToolTransitions

    @model_validator(mode="before")
    @classmethod
    def _leave_the_template_out(cls, value: Any) -> Any:
        """The platform strips `args_template` here: the model finds the arguments."""
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in cast(Json, value).items() if key != "args_template"}


class TransferNode(GlobalNode):
    """Transfers the caller after speaking `transfer_message` verbatim. A terminal."""

    type: Literal["transfer"]
    transfer_to: Text
    transfer_message: str | None = None


class EndNode(GlobalNode):
    """Ends the conversation; with `is_literal`, `farewell` is spoken verbatim. A terminal."""

    type: Literal["end"]
    farewell: str | None = None
    is_literal: bool = False


Node: TypeAlias = StartNode | ConversationNode | ToolCallNode | TransferNode | EndNode
Terminal: TypeAlias = TransferNode | EndNode

TERMINALS = frozenset({"transfer", "end"})
"""The node types that end a conversation."""


class FlowMetadata(FlowPart):
    """The keys that `{{metadata.key}}` may name besides the built-in ones."""

    custom_metadata_keys: list[str] = Field(default_factory=list)


class FlowConfig(FlowPart):
    """A whole flow, in the contract's version of the format."""

    flow_config_version: Literal["1"] = "1"
    nodes: list[Annotated[Node, Field(discriminator="type")]]
    metadata: FlowMetadata = Field(default_factory=FlowMetadata)


class Wire(NamedTuple):
    """A connection between two nodes, named by the transition's id or, if it has none, by its field."""

    id: str
    label: str
    target: str


def raw_nodes(config: Json) -> list[Json]:
    """The nodes of an unchecked flow: those that are objects with an id."""
    found = config.get("nodes")
    nodes = cast(list[object], found) if isinstance(found, list) else []
    objects = [cast(Json, node) for node in nodes if isinstance(node, dict)]
    return [node for node in objects if isinstance(node.get("id"), str)]


def wires(node: Json) -> list[Wire]:
    """The connections out of an unchecked node, leaving out those that are not wired."""
    found = _wires(node)
    return [Wire(str(id), str(label), target) for id, label, target in found if _is_id(target)]


def _wires(node: Json) -> Iterator[tuple[object, object, Any]]:
    transitions = node.get("transitions")
    if node.get("type") == "start":
        yield "next_step_id", "", node.get("next_step_id")
    elif isinstance(transitions, dict):
        edges = cast(Json, transitions)
        yield "success_next_step_id", "success", edges.get("success_next_step_id")
        yield "error_next_step_id", "error", edges.get("error_next_step_id")
        yield from _listed(edges.get("custom"))
    else:
        yield from _listed(transitions)


def _listed(transitions: object) -> Iterator[tuple[object, object, Any]]:
    for item in cast(list[object], transitions) if isinstance(transitions, list) else []:
        if isinstance(item, dict):
            one = cast(Json, item)
            label = one.get("label") or one.get("description") or one.get("id")
            yield one.get("id"), label, one.get("next_step_id")


def _is_id(target: object) -> bool:
    return isinstance(target, str) and bool(target.strip())
