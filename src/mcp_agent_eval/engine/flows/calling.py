"""Applies a tool_call node's own settings to its tool, and fills the slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from mcp_agent_eval.types import Json, Tool
from mcp_agent_eval.types.flow import ToolCallNode

_TIMEOUT = "timeout_seconds"
_USUAL_TIMEOUT = 30.0
_SHORTEST_TIMEOUT = 1.0


def as_node_has_it(tool: Tool, node: ToolCallNode) -> Tool:
    """The tool with the node's `config_override` applied to its config key by key, and its time limited by the
    node."""
    override = node.config_override or {}
    config = tool.config | override | _limit(tool.config | override, node.timeout_secs)
    if "extraction_parameters" in _object(override.get("payload_config")):
        return _with_parameters_of(tool, config)
    return tool.model_copy(update={"config": config})


def with_slots_filled(tool: Tool, fill: Callable[[str], str]) -> Tool:
    """The tool with the slots in its static parameters filled."""
    payload = _object(tool.config.get("payload_config"))
    static = payload.get("static_parameters")
    if not isinstance(static, list):
        return tool
    filled = [_filled(parameter, fill) for parameter in cast(list[object], static)]
    config = tool.config | {"payload_config": payload | {"static_parameters": filled}}
    return tool.model_copy(update={"config": config})


def takes_nothing(tool: Tool) -> bool:
    """Whether it has no parameters, so that no model needs to be asked for any."""
    return not _object(tool.parameters.get("properties"))


def required(tool: Tool) -> list[str]:
    """The names of the arguments that it requires."""
    names: Any = tool.parameters.get("required")
    return [str(name) for name in cast(list[object], names)] if isinstance(names, list) else []


def _limit(config: Json, seconds: float | None) -> Json:
    if seconds is None:
        return {}
    given = config.get(_TIMEOUT, _USUAL_TIMEOUT)
    usual = float(given) if isinstance(given, int | float) else _USUAL_TIMEOUT
    return {_TIMEOUT: max(_SHORTEST_TIMEOUT, min(usual, seconds))}


def _with_parameters_of(tool: Tool, config: Json) -> Tool:
    """Let the override also replace what the model is asked for."""
    record = tool.model_dump(exclude={"parameters", "config"})
    return Tool.model_validate(record | {"config": config})


def _filled(parameter: object, fill: Callable[[str], str]) -> object:
    fields = _object(parameter)
    value = fields.get("value")
    return fields | {"value": fill(value)} if isinstance(value, str) else parameter


def _object(value: object) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}
