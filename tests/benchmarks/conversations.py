"""What a conversation costs us, beside a bare loop that persists nothing.

    python tests/benchmarks/conversations.py [--latency-ms N] [--small N] [--large N] [--at-once N] [--rounds N]

Starts the benchmark rig that stands beside the checkout (`../shared/bench`): a fast mock provider and the bare
httpx2 loop. Both do the same work: conversations of six turns a side, twelve model calls, one assertion. CPU per
call is the slope between a small and a large number of conversations, so start-up costs drop out; wall time is
given as a multiple of what the provider's latency alone would take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT.parent / "shared" / "bench"
CALLS = 12
PORT = "18399"
BASE = f"http://127.0.0.1:{PORT}/v1"


@contextmanager
def mock_provider(latency_ms: int) -> Iterator[None]:
    """The rig's provider, ready to answer."""
    env = os.environ | {"PORT": PORT, "LATENCY_MS": str(latency_ms)}
    command = [sys.executable, str(BENCH / "mockllm.py")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit("The rig's provider did not start; it needs orjson beside what we install.")
            yield
        finally:
            process.terminate()


def measure(command: list[str], conversations: int, at_once: int) -> dict[str, float]:
    """CPU seconds, wall seconds and peak memory of one process."""
    env = os.environ | {"BASE_URL": BASE, "N": str(conversations), "C": str(at_once), "CLIENT": "httpx2"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall} | json.loads(done.stdout.splitlines()[-1].removeprefix("RESULT "))


def slope(command: list[str], small: int, large: int, at_once: int) -> float:
    """CPU microseconds per model call, start-up left out."""
    few, many = (measure(command, number, at_once) for number in (small, large))
    return (many["cpu"] - few["cpu"]) / ((large - small) * CALLS) * 1e6


async def drive() -> None:
    """This process is measured: N conversations through the embedded backend, everything persisted."""
    from mcp_agent_eval.backend.connect import connect
    from mcp_agent_eval.settings import Settings

    sys.path.insert(0, str(BENCH))
    from common import AGENT_PROMPT, IDENTITY, PATTERN, SCENARIO, C, N  # pyright: ignore

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(
            database_url=f"sqlite:///{folder}/bench.db",
            model_base_url=BASE,
            agent_model="openai:agent-x",
            persona_model="openai:persona-x",
            max_concurrency=C,
            persona_end_marker="Goodbye!",
            persona_end_tool=False,
        )
        async with connect(settings) as connection:
            backend = connection.backend
            agent = await backend.create(
                "agent", {"name": "a", "system_prompt": AGENT_PROMPT, "agent_speaks_first": False}
            )
            persona = await backend.create("persona", {"name": "p", "identity_prompt": IDENTITY})
            case = await backend.create(
                "case",
                {
                    "name": "c",
                    "agent_id": agent.id,
                    "persona_id": persona.id,
                    "scenario": SCENARIO,
                    "max_turns": 12,
                    "success_criteria": [{"type": "must_say", "pattern": PATTERN}],
                },
            )
            started = time.perf_counter()
            ids = [(await backend.start_run(case.id)).id for _ in range(N)]
            runs = [await wait(backend, id) for id in ids]
            inner = time.perf_counter() - started
    passed = sum(bool(run.pass_fail) for run in runs)
    assert passed == N, f"{passed} of {N} passed"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print("RESULT " + json.dumps({"conversations": N, "inner_s": inner, "peak_mb": peak}), flush=True)


async def wait(backend: Any, id: str) -> Any:
    """The final run."""
    while True:
        run = await backend.wait_run(id, 30)
        if run.is_final:
            return run


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--drive", action="store_true")
    parser.add_argument("--latency-ms", type=int, default=50)
    parser.add_argument("--small", type=int, default=20)
    parser.add_argument("--large", type=int, default=220)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.drive:
        import anyio

        anyio.run(drive)
        return
    ours = [sys.executable, __file__, "--drive"]
    bare = [sys.executable, str(BENCH / "bare.py")]
    with mock_provider(0):
        pairs = [
            tuple(slope(who, options.small, options.large, options.at_once) for who in (ours, bare))
            for _ in range(options.rounds)
        ]
    our_cpu, bare_cpu = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(
        f"CPU per model call: ours {our_cpu:.0f} us, bare httpx2 {bare_cpu:.0f} us, ratio {our_cpu / bare_cpu:.2f}"
    )
    with mock_provider(options.latency_ms):
        ideal = 200 / options.at_once * CALLS * options.latency_ms / 1000
        for name, command in (("ours", ours), ("bare httpx2", bare)):
            walls = [measure(command, 200, options.at_once) for _ in range(options.rounds)]
            wall = statistics.median(one["inner_s"] for one in walls)
            print(
                f"200 conversations at {options.latency_ms} ms: {name} {wall / ideal:.2f} times the ideal",
                end="",
            )
            print(f", peak {walls[0]['peak_mb']:.0f} MB" if "peak_mb" in walls[0] else "")


if __name__ == "__main__":
    main()
