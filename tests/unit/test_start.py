"""A server that is only listed imports little more than the SDK: hosts start one in every window, and wait for it."""

from __future__ import annotations

import json
import subprocess
import sys

ONE_TOOL = """
from mcp.server import MCPServer
server = MCPServer("one")
server.add_tool(lambda: 1, name="one")
"""
OURS = """
from mcp_agent_eval.mcp_server.server import build_server
server = build_server()
"""
LIST = """
import anyio, json, sys
anyio.run(server.list_tools)
print(json.dumps(list(sys.modules)))
"""


def imported(server: str) -> set[str]:
    """The modules that a process has imported when its server has listed its tools."""
    done = subprocess.run([sys.executable, "-c", server + LIST], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_a_first_list_imports_no_package_that_the_sdk_does_not_and_of_ours_neither_engine_nor_flows() -> None:
    sdk, ours = imported(ONE_TOOL), imported(OURS)
    packages = {name.partition(".")[0] for name in ours - sdk} - {name.partition(".")[0] for name in sdk}
    assert packages - sys.stdlib_module_names == {"mcp_agent_eval"}
    assert "sqlite3" not in packages
    not_needed = ("engine", "backend.embedded", "backend.hosted", "settings", "cli", "api", "types.flow")
    late = tuple(f"mcp_agent_eval.{name}" for name in not_needed)
    assert sorted(name for name in ours if name.startswith(late)) == []
