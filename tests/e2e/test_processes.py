"""Real server processes on one database: closed, killed and side by side, as IDE windows are."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client

from tests.behaviour.clinic import create_clinic
from tests.provider import Provider, provider
from tests.support import OFFLINE, call, stdio_server


def persona_over(held: Provider) -> dict[str, str]:
    """Settings whose personas a test's provider plays."""
    return OFFLINE | {"persona_model": "openai:held", "model_base_url": held.url}


def caller(body: dict[str, Any]) -> str:
    """A caller that says its line number, and hangs up after the third."""
    number = sum(message["role"] == "assistant" for message in body["messages"])
    return f"This is line {number}." + (" [END OF CALL]" if number == 3 else "")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_whole_journey_over_stdio(tmp_path: Path, mode: str) -> None:
    async with Client(stdio_server(tmp_path, **OFFLINE), mode=mode) as client:
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert result["pass_fail"] is True
        transcript = await call(client, "read_transcript", run_id=result["run_id"])
        assert transcript["untrusted_turns"]


async def test_what_one_server_wrote_another_one_reads(tmp_path: Path) -> None:
    async with (
        Client(stdio_server(tmp_path, **OFFLINE)) as first,
        Client(stdio_server(tmp_path, **OFFLINE)) as second,
    ):
        case_id = await create_clinic(first)
        result = await call(second, "run_case", case_id=case_id)
        assert await call(first, "get_run", run_id=result["run_id"]) == result


async def test_a_run_goes_on_when_the_server_that_began_it_is_closed(tmp_path: Path) -> None:
    async with provider(caller, open_gate=False) as held:
        settings = persona_over(held)
        async with Client(stdio_server(tmp_path, **settings)) as first:
            case_id = await create_clinic(first)
            started = await call(first, "run_case", case_id=case_id, wait_seconds=0)
            with anyio.fail_after(10):
                await held.arrived.wait()
        held.gate.set()
        async with Client(stdio_server(tmp_path, **settings)) as second:
            result = await call(second, "get_run", run_id=started["run_id"])
        assert result["termination_reason"] == "persona_goodbye"
        assert len(held.asked) == 5  # four lines, and the one that was in flight when the server went


def lines_in(database: Path) -> int:
    """How many turns are stored."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT count(*) FROM turns").fetchone()[0]


async def test_a_killed_servers_run_is_finished_by_another_and_pays_for_no_answer_twice(
    tmp_path: Path,
) -> None:
    asked = 0

    def caller_that_waits_for_the_kill(body: dict[str, Any]) -> str:
        nonlocal asked
        asked += 1
        if asked == 3:
            os.kill(process.pid, signal.SIGKILL)
        return caller(body)

    async with provider(caller_that_waits_for_the_kill) as model:
        settings = persona_over(model)
        server = stdio_server(tmp_path, **settings)
        async with Client(server) as client:
            case_id = await create_clinic(client)
        with start_raw(server.env or {}, case_id) as process, anyio.fail_after(20):
            await anyio.to_thread.run_sync(process.wait)
        assert lines_in(tmp_path / "evals.db") >= 4
        expire_leases(tmp_path / "evals.db")
        async with Client(server) as client:
            run_id = (await call(client, "list_runs"))["runs"][0]["run_id"]
            with anyio.fail_after(40):
                while (result := await call(client, "get_run", run_id=run_id))["status"] in (
                    "queued",
                    "running",
                ):
                    pass
            turns = (await call(client, "read_transcript", run_id=run_id))["untrusted_turns"]
        assert result["termination_reason"] == "persona_goodbye"
        assert [turn["text"] for turn in turns if turn["role"] == "persona"] == [
            f"This is line {n}." for n in range(4)
        ]
        assert [turn["turn"] for turn in turns] == list(range(len(turns)))
        assert asked == 5  # four lines, and the one that was in flight at the kill


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_told_to_stop_gives_its_run_back_at_once(
    tmp_path: Path, sent: signal.Signals
) -> None:
    async with provider(caller, open_gate=False) as held:
        server = stdio_server(tmp_path, **persona_over(held))
        async with Client(server) as client:
            case_id = await create_clinic(client)
        with start_raw(server.env or {}, case_id) as process, anyio.fail_after(20):
            await held.arrived.wait()
            process.send_signal(sent)
            await anyio.to_thread.run_sync(process.wait)
    with closing(sqlite3.connect(tmp_path / "evals.db")) as connection:
        [row] = connection.execute("SELECT queue_status, attempts, lease_owner FROM runs")
    assert row == ("pending", 0, None)


def start_raw(env: dict[str, str], case_id: str) -> subprocess.Popen[bytes]:
    """A server that was asked, without a client library, to run a case."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_agent_eval"],
        env=os.environ | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    opening = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    messages: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": opening},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "tools/call", "params": {"name": "run_case", "arguments": {"case_id": case_id}}},
    ]
    assert process.stdin is not None
    for message in messages:
        process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
    process.stdin.flush()
    return process


def expire_leases(database: Path) -> None:
    """As after a night: the dead worker's leases have run out, and the run was begun long ago."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE runs SET lease_until = 1, started_at = 1 WHERE queue_status = 'claimed'")


async def test_nothing_but_the_protocol_is_written_to_standard_output(tmp_path: Path) -> None:
    server = stdio_server(tmp_path, **OFFLINE)
    async with Client(server) as client:
        case_id = await create_clinic(client)
    with start_raw(server.env or {}, case_id) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.stdin.close()
        lines += process.stdout.readlines()
        assert process.wait(timeout=20) == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert json.loads(lines[1])["result"]["structuredContent"]["pass_fail"] is True


def test_the_demo_needs_no_key_and_leaves_nothing_behind(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mcp_agent_eval", "demo"], env=env, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - started < 60
    assert "not an LLM" in done.stdout
    assert "8 of 8 runs done" in done.stderr
    assert "FAILED" in done.stdout
    assert "failed -> passed" in done.stdout
    for host in ("Claude Code", "Cursor", "VS Code", "Codex"):
        assert host in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_is_no_message_is_answered_and_the_server_goes_on(tmp_path: Path) -> None:
    server = stdio_server(tmp_path)
    with subprocess.Popen(
        [server.command, *server.args],
        env=os.environ | (server.env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write('not json\n{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
    assert [(answer["id"], "error" in answer) for answer in answers] == [(None, True), (1, False)]
