"""Strict tools: unknown arguments are errors, schemas are lean, failures say what to do.

The SDK's own tools ignore unknown arguments, and show the model pydantic's titles and links.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, cast, get_args

from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import build_resolver_plans, find_resolved_parameters
from mcp.server.mcpserver.tools.base import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import ConfigDict, ValidationError, create_model, model_validator

from mcp_agent_eval.errors import ConsentNeeded, EvalError, InvalidInput
from mcp_agent_eval.mcp_server.render import refusal
from mcp_agent_eval.types import Json
from mcp_agent_eval.validation import explain

_log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[CallToolResult]]


class StrictArguments(ArgModelBase):
    """A tool's arguments; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _leave_out_null(cls, given: Any) -> Any:
        """Drop nulls, which many clients send for omitted arguments, unless null has a meaning."""
        if not isinstance(given, dict):
            return given
        return {
            name: item
            for name, item in cast(Json, given).items()
            if item is not None or cls._takes_null(name)
        }

    @classmethod
    def _takes_null(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is None or field.is_required() or type(None) in get_args(field.annotation)


class StrictTool(Tool):
    """A tool whose failures are results in our own words."""

    @classmethod
    def make(cls, name: str, handler: Handler, *, title: str, annotations: ToolAnnotations) -> StrictTool:
        """A tool from a function whose first parameter is the context; its docstring is what assistants read."""
        resolved = find_resolved_parameters(handler)
        arguments = _arguments(name, handler, without=resolved)
        return cls(
            fn=handler,
            name=name,
            title=title,
            description=" ".join((handler.__doc__ or "").split()),
            parameters=lean(arguments.model_json_schema()),
            fn_metadata=FuncMetadata(arg_model=arguments),
            is_async=True,
            context_kwarg="ctx",
            resolved_params=dict(resolved),
            resolver_plans=build_resolver_plans(resolved, set(arguments.model_fields)),
            annotations=annotations,
        )

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Run the tool; every failure comes back as a result."""
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as exc:
            return refusal(self._in_our_words(exc.__cause__))

    def _in_our_words(self, cause: BaseException | None) -> EvalError:
        if isinstance(cause, EvalError):
            return cause
        if isinstance(cause, ToolError):
            return ConsentNeeded(
                "Not started: the host's answer does not fit the question that it was asked to put to the user.",
                hint="This is a fault of the host. tool_policy 'mock' lets nothing act.",
            )
        if isinstance(cause, ValidationError):
            known = list(self.parameters["properties"])
            return InvalidInput(f"{self.name}: {explain(cause, known)}")
        _log.error("%s failed unexpectedly", self.name, exc_info=cause)
        return EvalError(
            f"{self.name} failed because of a fault in the server.",
            hint="The log of the server, its standard error, has the details. Calling again may not help.",
        )


def _arguments(name: str, handler: Handler, *, without: Collection[str]) -> type[StrictArguments]:
    """The caller's parameters: without the context and anything that the server resolves itself."""
    signature = list(inspect.signature(handler, eval_str=True).parameters.values())[1:]
    parameters = [parameter for parameter in signature if parameter.name not in without]
    fields: dict[str, Any] = {
        parameter.name: (
            parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in parameters
    }
    return create_model(f"{name}_arguments", __base__=StrictArguments, **fields)


def lean(schema: Json) -> Json:
    """A JSON Schema without parts that cost tokens and say nothing: titles, `null` defaults, null alternatives, and
    definitions' docstrings, which are for readers of the code."""
    leaned = cast(Json, _lean(schema))
    for definition in leaned.get("$defs", {}).values():
        definition.pop("description", None)
    return leaned


def _lean(node: object) -> object:
    if isinstance(node, list):
        return [_lean(item) for item in cast(list[object], node)]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _lean(item) for name, item in value.items()} if key in _NAMED else _lean(value)
        for key, value in _without_null_alternative(cast(Json, node)).items()
        if not _is_noise(key, value)
    }


_NAMED = ("properties", "$defs")
_SAYS_NOTHING = (
    ("default", None),
    ("additionalProperties", True),
    ("maximum", 1_000_000),
    ("maximum", 1_000_000_000),
)


def _is_noise(key: str, value: object) -> bool:
    return (key, value) in _SAYS_NOTHING or (key == "title" and isinstance(value, str))


def _without_null_alternative(node: Json) -> Json:
    """Drop a null alternative if it is only the default; otherwise it has a meaning and stays."""
    alternatives = [item for item in node.get("anyOf", []) if item != {"type": "null"}]
    if len(alternatives) != 1 or node.get("default") is not None:
        return node
    return {key: value for key, value in node.items() if key != "anyOf"} | alternatives[0]
