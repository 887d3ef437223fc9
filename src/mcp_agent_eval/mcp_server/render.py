"""One result, two channels: hosts show the model either the structured value or the text, so both say everything.

The text is an outline of the same value, which reads better than JSON and costs fewer tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from mcp.types import CallToolResult, TextContent

from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.lines import hanging


def answer(value: Json) -> CallToolResult:
    """A successful result."""
    return CallToolResult(content=[TextContent(type="text", text=outline(value))], structured_content=value)


def with_more(result: CallToolResult, more: Json) -> CallToolResult:
    """A successful result with further fields."""
    return answer(cast(Json, result.structured_content) | more)


def refusal(error: EvalError) -> CallToolResult:
    """A failed result, with what to do about it."""
    value = error.as_dict()
    more = {key: item for key, item in value.items() if key not in ("error", "code", "hint")}
    text = "\n".join(filter(None, (error.message, error.hint, outline(more) if more else None)))
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=value, is_error=True
    )


def outline(value: object) -> str:
    """A value as indented `name: value` lines."""
    return "\n".join(_lines(value, ""))


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast(Json, value).items():
            yield from _entry(f"{indent}{key}:", item, indent)
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from _bullet(item, indent)
    else:
        yield f"{indent}{hanging(_scalar(value), indent)}"


def _entry(label: str, item: object, indent: str) -> Iterator[str]:
    if _is_plain(item):
        yield f"{label} {hanging(_scalar(item), indent + '  ')}"
    else:
        yield label
        yield from _lines(item, indent + "  ")


def _bullet(item: object, indent: str) -> Iterator[str]:
    """A list item: its first line behind a dash, the others below it."""
    lines = [_scalar(item)] if _is_plain(item) else _lines(item, "")
    yield f"{indent}- {hanging(chr(10).join(lines), indent + '  ')}"


def _is_plain(item: object) -> bool:
    return not isinstance(item, dict | list) or not item


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
