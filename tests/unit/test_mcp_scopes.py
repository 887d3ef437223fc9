"""What a key must allow is said for every tool and every method of the server, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from mcp_agent_eval.mcp_server.scopes import METHODS, TOOLS
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.mcp_server.tools.catalogue import all_tools
from mcp_agent_eval.types.caller import Action, scope_of
from mcp_agent_eval.types.key import SCOPES


def test_every_tool_has_a_scope_and_nothing_else_has() -> None:
    assert TOOLS.keys() == {tool.name for tool in all_tools()}


def test_a_tool_that_only_reads_takes_the_scope_to_read_and_no_other_tool_does() -> None:
    says_that_it_reads = {
        tool.name for tool in all_tools() if tool.annotations and tool.annotations.read_only_hint
    }
    assert {name for name, action in TOOLS.items() if action == "read"} == says_that_it_reads


def test_every_method_that_is_served_has_its_scope() -> None:
    served = {
        method for method in build_server()._lowlevel_server._request_handlers if method != "tools/call"
    }
    assert served - METHODS.keys() == set()


def test_every_scope_of_a_key_opens_something() -> None:
    assert {scope_of(action) for action in get_args(Action)} == set(SCOPES)
    assert set(TOOLS.values()) == set(get_args(Action))


def test_http_md_lists_every_tool_with_its_scope() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `agent_eval:(\w+)` \| ([^|]*) \|", text, flags=re.MULTILINE)
    listed = {tool: action for action, tools in rows for tool in re.findall(r"`(\w+)`", tools)}
    assert listed == TOOLS
