"""How long a host waits for us: from spawn to an answered `tools/list`, beside a server with one tool.

    python tests/benchmarks/start_up.py [--rounds N] [--python PATH]

Both are spoken to over a pipe in the same way, in turn, so that what the machine does besides hits both. PATH is the
interpreter of the environment that is measured: one with the development tools holds packages that the SDK imports
where it finds them, and a plain install holds none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

ONE_TOOL = """
from mcp.server import MCPServer
server = MCPServer("one")
@server.tool()
def add(a: int, b: int) -> int:
    "Add."
    return a + b
server.run("stdio")
"""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "b", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


class Start(NamedTuple):
    """What one start took: milliseconds to the answer, its size, and memory in MB by then."""

    milliseconds: float
    characters: int
    resident: float
    peak: float


def ask(command: list[str]) -> Start:
    """Start a server, ask for its tools, and let it end."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(INITIALIZE), file=process.stdin, flush=True)
        process.stdout.readline()
        print(json.dumps(INITIALIZED), file=process.stdin)
        print(json.dumps(LIST), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        elapsed = (time.perf_counter() - started) * 1000
        resident, peak = memory(process.pid)
        process.stdin.close()
    tools = json.loads(answer)["result"]["tools"]
    return Start(elapsed, len(json.dumps(tools, separators=(",", ":"))), resident, peak)


def memory(pid: int) -> tuple[float, float]:
    """Resident memory in MB, now and at its peak, where the system tells."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            lines = dict(line.split(":", 1) for line in status)
    except OSError:
        return 0, 0
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Print medians with the best, and the ratios of both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    commands = {
        "ours": [options.python, "-m", "mcp_agent_eval"],
        "one tool": [options.python, "-c", ONE_TOOL],
    }
    for command in commands.values():
        ask(command)
    starts: dict[str, list[Start]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            starts[name].append(ask(command))
    for name, made in starts.items():
        last = made[-1]
        print(
            f"{name}: {took(made, statistics.median):.0f} ms, at best {took(made, min):.0f}; {last.resident:.1f} MB, "
            f"at its peak {last.peak:.1f}; tools/list {last.characters} characters"
        )
    for words, of in (("medians", statistics.median), ("the best", min)):
        print(f"ratio of {words}: {took(starts['ours'], of) / took(starts['one tool'], of):.2f}")


def took(made: list[Start], of: Callable[[list[float]], float]) -> float:
    """Milliseconds of several starts, put together by `of`."""
    return of([start.milliseconds for start in made])


if __name__ == "__main__":
    main()
