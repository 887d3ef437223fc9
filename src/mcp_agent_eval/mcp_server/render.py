"""Renders a result for two channels: hosts show the model either the structured value or the text, so both are
complete.

The text is an outline of the same value, which reads better than JSON and costs fewer tokens. Neither is longer
than a result may be: `lab/fitting.py` cuts what is too long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import cast

from mcp.types import CallToolResult, TextContent

from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.lab.fitting import MOST, Call, fitted
from mcp_agent_eval.lab.parts import Path, Place, piece
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.lines import hanging, visible

_MOST_OF_AN_ERROR = 6_000


def answer(
    value: Json, call: Call, *, most: int = MOST, places: Mapping[str, Place] | None = None
) -> CallToolResult:
    """A successful result of at most that many characters; `call` shows what does not fit, see `fitted`."""
    shown = fitted(value, most, call, places)
    return CallToolResult(content=[TextContent(type="text", text=outline(shown))], structured_content=shown)


def part_answer(head: Json, value: Json, part: str, call: Call, *, within: Path = ()) -> CallToolResult:
    """One part of a value, below the fields that identify the value; `within` is passed to `piece`.

    Raises:
        InvalidInput: there is no such part.
    """
    shown, places = piece(value, part, within=within)
    return answer(head | shown, call, places=places)


def refusal(error: EvalError) -> CallToolResult:
    """A failed result, with what to do about it."""
    value = fitted(error.as_dict(), _MOST_OF_AN_ERROR, lambda _: "The same call, with this corrected,")
    more = {key: item for key, item in value.items() if key not in ("error", "code", "hint")}
    text = visible(
        "\n".join(filter(None, (value["error"], value.get("hint"), outline(more) if more else None)))
    )
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=value, is_error=True
    )


def written(tool: str, **arguments: object) -> str:
    """A tool call for guidance: the arguments that are not None, in JSON."""
    given = {name: value for name, value in arguments.items() if value is not None}
    named = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
    return f"{tool}({named})"


def outline(value: object) -> str:
    """A value as indented `name: value` lines, with every character visible."""
    return visible("\n".join(_lines(value, "")))


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast(Json, value).items():
            yield from _entry(f"{indent}{hanging(key, indent + '  ')}:", item, indent)
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
