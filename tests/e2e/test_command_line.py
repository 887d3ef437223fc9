"""The command as a process: what surrounds it, how it is ended, and what it writes to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import httpx2
import pytest

from mcp_agent_eval import background
from mcp_agent_eval.settings import Settings
from tests.legs import served
from tests.support import stdio_server

COMMAND = [sys.executable, "-m", "mcp_agent_eval"]
HOSTILE = {
    "AGENT_EVAL_BACKEND": "hosted",
    "AGENT_EVAL_API_URL": "http://127.0.0.1:9",
    "AGENT_EVAL_API_KEY": "not ours to use",
    "AGENT_EVAL_DATABASE_URL": "postgresql://127.0.0.1:9/theirs",
    "AGENT_EVAL_MAX_CONCURRENCY": "0",
    "AGENT_EVAL_RUN_BUDGET": "abc",
    "AGENT_EVAL_RUN_TIMEOUT": "0.001",
    "AGENT_EVAL_PERSONA_END_TOOL": "false",
    "OPENAI_API_KEY": "not ours to use",
}

no_windows = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals are others there")
needs_a_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), "HOME": str(folder)} | (more or {})


def first_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


# --- The demo


def test_the_demo_is_the_same_whatever_the_environment_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo"],
        env=environment(tmp_path, HOSTILE),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "failed -> passed" in done.stdout
    assert list(tmp_path.iterdir()) == []


@no_windows
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"],
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert "runs done" in first_line(process.stderr)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


# --- Streams and signals


@needs_a_full_device
@pytest.mark.parametrize("arguments", [["hosts"], ["demo"], ["doctor", "--json", "--no-network"]])
def test_a_full_disk_is_told_in_a_line(tmp_path: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "Standard output cannot be written: No space left on device."
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["", "hosts"])
def test_ctrl_c_while_modules_are_imported_ends_it_quietly(arguments: str) -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name.startswith(("mcp_agent_eval.cli", "mcp_agent_eval.mcp_server")):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from mcp_agent_eval.__main__ import main
main()
"""
    command = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@no_windows
def test_a_server_that_is_started_by_hand_says_what_it_waits_for(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = environment(tmp_path, stdio_server(tmp_path).env)
    with subprocess.Popen(COMMAND, env=env, stdin=theirs, stderr=subprocess.PIPE, text=True) as process:
        assert "waiting for a host" in first_line(process.stderr)
        process.kill()
    for side in (ours, theirs):
        os.close(side)


async def test_where_an_event_loop_has_no_signals_the_api_is_served_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: signal.Signals) -> None:
        raise NotImplementedError

    monkeypatch.setattr("anyio.open_signal_receiver", lacking)
    monkeypatch.setattr(background, "sys", SimpleNamespace(platform="win32"))
    async with served(Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}")) as address:
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{address}/agents")).status_code == 200
