"""How long a host waits for us: from spawn to an answered `tools/list`, beside a server with one tool.

    python tests/benchmarks/start_up.py [--rounds N]

Both are spoken to over a pipe in the same way, in turn, so that what the machine does besides hits both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

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


def ask(command: list[str]) -> tuple[float, int, int]:
    """Milliseconds to the answer, its size in characters, and the server's peak memory in MB."""
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
        peak = memory(process.pid)
        process.stdin.close()
    tools = json.loads(answer)["result"]["tools"]
    return elapsed, len(json.dumps(tools, separators=(",", ":"))), peak


def memory(pid: int) -> int:
    """Peak resident memory in MB, where the system tells."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return 0


def main() -> None:
    """Print medians and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    commands = {
        "ours": [sys.executable, "-m", "mcp_agent_eval"],
        "one tool": [sys.executable, "-c", ONE_TOOL],
    }
    answers = {name: [ask(command)] for name, command in commands.items()}
    for _ in range(rounds):
        for name, command in commands.items():
            answers[name].append(ask(command))
    times = {name: statistics.median(answer[0] for answer in asked[1:]) for name, asked in answers.items()}
    for name, asked in answers.items():
        print(f"{name}: {times[name]:.0f} ms, {asked[0][2]} MB, tools/list {asked[0][1]} characters")
    print(f"ratio {times['ours'] / times['one tool']:.2f}")


if __name__ == "__main__":
    main()
