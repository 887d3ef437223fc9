"""A flow: what `flow_config` holds when an agent is a graph of steps instead of one prompt.

These are shapes only. Whether the steps fit together is checked where a flow is saved; how one is walked, and
what is said at a step, is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypedDict, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mcp_agent_eval.types.base import Json, Model, Text

GLOBAL_PREFIX = "__global_"
"""Before a node's id: the choice to jump to that global node. No transition's own id begins like this."""

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
"""What can be wrong with a flow. The contract's other codes are about `integration_call`, which was retired
and is refused as a whole."""


class FlowIssue(TypedDict):
    """One thing that is wrong with a flow. `node_id` is null where no single node is to blame."""

    node_id: str | None
    code: IssueCode
    message: str


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value


Wired = Annotated[str | None, BeforeValidator(_blank_is_none)]
"""The id of a node to go on to, or None where nothing is wired; editors write that as an empty text, too."""


def _is_scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("must be a text, a number, true, false or null")
    return value


Scalar = Annotated[object, AfterValidator(_is_scalar)]


class FlowPart(Model):
    """A piece of a flow. Keys that begin with `_` are notes of whoever made it, and are left out."""

    @model_validator(mode="before")
    @classmethod
    def _leave_notes_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = cast(Json, value)
        return {key: item for key, item in fields.items() if not key.startswith("_")}


class Transition(FlowPart):
    """A way on from a conversation node: `description` or, failing that, `label` says when to take it."""

    id: Text
    label: str | None = None
    description: str | None = None
    next_step_id: Text


class CustomTransition(FlowPart):
    """A way on from a tool that holds when `jsonpath` leads to `equals` in the tool's result."""

    id: Text
    label: str | None = None
    jsonpath: str
    equals: Scalar
    next_step_id: Text


class ToolTransitions(FlowPart):
    """Where a tool leads: one of these edges, never two."""

    success_next_step_id: Text
    error_next_step_id: Wired = None
    custom: list[CustomTransition] = Field(default_factory=list[CustomTransition])


class FlowNode(FlowPart):
    """What every node has. `position` is where an editor draws it."""

    id: Text
    name: str | None = None
    position: Json | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.id


class GlobalNode(FlowNode):
    """A node that, when `is_global`, every conversation node may jump to."""

    is_global: bool = False
    global_jump_description: str | None = None


class StartNode(FlowNode):
    """Where a conversation begins. Its settings replace those of the agent.

    `is_literal` greetings are said as they stand, others are an instruction. With `auto_advance` the first
    node is entered together with the greeting, otherwise once the caller has replied to it.
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
    """A step that calls a tool, found by id or name, as soon as it is entered and its arguments are known.

    `config_override` replaces top-level keys of the tool's config, whole. `timeout_secs` is in seconds.
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
    """Hands the caller over to somebody, after saying `transfer_message` as it stands. A terminal."""

    type: Literal["transfer"]
    transfer_to: Text
    transfer_message: str | None = None


class EndNode(GlobalNode):
    """Ends the conversation; `farewell` is said as it stands when `is_literal`. A terminal."""

    type: Literal["end"]
    farewell: str | None = None
    is_literal: bool = False


Node: TypeAlias = StartNode | ConversationNode | ToolCallNode | TransferNode | EndNode
Terminal: TypeAlias = TransferNode | EndNode

TERMINALS = frozenset({"transfer", "end"})
"""The types of node at which a conversation is over."""


class FlowMetadata(FlowPart):
    """The keys that `{{metadata.key}}` may name beside the built-in ones."""

    custom_metadata_keys: list[str] = Field(default_factory=list)


class FlowConfig(FlowPart):
    """A whole flow, in the contract's version of the format."""

    flow_config_version: Literal["1"] = "1"
    nodes: list[Annotated[Node, Field(discriminator="type")]]
    metadata: FlowMetadata = Field(default_factory=FlowMetadata)


class Wire(NamedTuple):
    """A way from one node to another, by the transition's id or, where it has none, by its field's name."""

    id: str
    label: str
    target: str


def raw_nodes(config: Json) -> list[Json]:
    """The nodes of a flow that nobody has checked: those that are objects with an id."""
    found = config.get("nodes")
    nodes = cast(list[object], found) if isinstance(found, list) else []
    objects = [cast(Json, node) for node in nodes if isinstance(node, dict)]
    return [node for node in objects if isinstance(node.get("id"), str)]


def wires(node: Json) -> list[Wire]:
    """The ways on from a node that nobody has checked, as far as they are wired."""
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
