"""What hosts list is pinned: one file per tool, compared with what a real client sees.

`UPDATE_SNAPSHOTS=1` rewrites the files, but deletes none: a stray one is for a person to remove.
Every assistant pays for this list before it asks its first question, so its size is a limit and not a figure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp import Client

from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.mcp_server.tools.catalogue import all_tools
from mcp_agent_eval.types import Json

SNAPSHOTS = Path(__file__).resolve().parents[1] / "snapshots" / "tools"
UPDATES = bool(os.environ.get("UPDATE_SNAPSHOTS"))

MOST_TOOLS = 20
MOST_CHARACTERS = 14_000
"""Of the compact JSON of all tools: about 3,500 tokens, by the rule of thumb of four characters a token."""

ANNOTATIONS = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}

OBVIOUS = {
    "agent_speaks_first",
    "description",
    "detail",
    "kind",
    "language",
    "limit",
    "max_characters",
    "name",
    "offset",
    "status",
    "suite_run_id",
    "temperature",
    "tool_allowlist",
    "type",
}
"""Parameters whose name and type say it all."""


async def listed(mode: str = "auto") -> dict[str, Json]:
    """Every tool by name, as a client of one protocol era gets it."""
    async with Client(build_server(), mode=mode) as client:
        result = await client.list_tools()
        assert result.next_cursor is None
        return {
            tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in result.tools
        }


def test_there_is_a_snapshot_for_every_tool_and_for_nothing_else() -> None:
    stored = {path.stem for path in SNAPSHOTS.glob("*.json")}
    names = {tool.name for tool in all_tools()}
    assert stored - names == set()
    assert UPDATES or names - stored == set()


async def test_every_tool_is_listed_as_its_snapshot_has_it() -> None:
    for name, tool in (await listed()).items():
        path, text = SNAPSHOTS / f"{name}.json", json.dumps(tool, indent=2, ensure_ascii=False) + "\n"
        if UPDATES:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        stored = path.read_text(encoding="utf-8") if path.exists() else None
        assert stored == text, (
            f"{name} is not as its snapshot: look at the difference, then UPDATE_SNAPSHOTS=1"
        )


async def test_both_protocol_eras_list_the_same() -> None:
    assert await listed("auto") == await listed("legacy")


async def test_the_list_is_in_the_order_of_theall_tools() -> None:
    assert list(await listed()) == [tool.name for tool in all_tools()]


async def test_the_list_stays_small_enough_to_be_read_by_every_assistant() -> None:
    tools = list((await listed()).values())
    size = len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False))
    assert len(tools) <= MOST_TOOLS
    assert size <= MOST_CHARACTERS


async def test_a_tool_says_what_it_is_and_what_it_does_to_the_world() -> None:
    for name, tool in (await listed()).items():
        assert set(tool) == {"name", "title", "description", "annotations", "inputSchema"}, name
        assert tool["title"], name
        assert tool["description"].endswith("."), name
        assert set(tool["annotations"]) == ANNOTATIONS, name


async def test_schemas_are_plain_closed_objects_that_every_host_accepts() -> None:
    for name, tool in (await listed()).items():
        schema = tool["inputSchema"]
        assert schema["type"] == "object", name
        assert schema["additionalProperties"] is False, name
        assert not {"anyOf", "oneOf", "allOf"} & set(schema), name


async def test_every_parameter_that_is_not_obvious_is_described() -> None:
    bare = {
        f"{name}.{parameter}"
        for name, tool in (await listed()).items()
        for parameter, schema in tool["inputSchema"]["properties"].items()
        if parameter not in OBVIOUS and not schema.get("description")
    }
    assert bare == set()


async def test_nothing_in_the_list_is_a_title_or_a_null_that_only_costs_tokens() -> None:
    for name, tool in (await listed()).items():
        assert not list(_noise(tool["inputSchema"])), name


def _noise(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _noise(item)
    elif isinstance(node, dict):
        yield from (key for key, value in node.items() if key == "title" and isinstance(value, str))
        yield from (key for key, value in node.items() if value is None)
        for value in node.values():
            yield from _noise(value)
