"""`serve` as a process, with real MCP clients over HTTP: keys, progress, a proxy in front, and an orderly end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.e2e.test_serve import environment, make_key, serving
from tests.http_clients import ERAS, connected, turned_away
from tests.provider import Provider, provider
from tests.proxy import HOST, PREFIX, proxy
from tests.support import OFFLINE, call


def held_environment(folder: Path, held: Provider, **settings: str) -> dict[str, str]:
    """A server whose personas wait for the test."""
    return environment(folder, PERSONA_MODEL="openai:held", MODEL_BASE_URL=held.url, **settings)


@pytest.mark.parametrize(
    ("era", "has_keys"), [("auto", False), ("legacy", True)], ids=["2026-07-28, open", "handshake, keys"]
)
async def test_two_clients_follow_one_run_and_hear_of_its_progress(
    tmp_path: Path, era: str, has_keys: bool
) -> None:
    heard: list[str | None] = []
    results: list[Any] = []
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        env = held_environment(tmp_path, held)
        key = make_key(env, "host") if has_keys else None
        moving = anyio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(message)
            moving.set()

        async def run(client: Client) -> None:
            found = await client.call_tool("run_case", {"case_id": "Books a visit"}, progress_callback=hear)
            results.append(found.structured_content)

        with serving(env) as (address, _), anyio.fail_after(30):
            async with (
                connected(address, key=key, era=era) as one,
                connected(address, key=key) as other,
                anyio.create_task_group() as tasks,
            ):
                await create_clinic(other)
                tasks.start_soon(run, one)
                await moving.wait()
                listed = await call(other, "list_runs")
                held.gate.set()
                results.append(await call(other, "get_run", run_id=listed["runs"][0]["run_id"]))
            if has_keys:
                assert "needs a key" in str(await turned_away(address, era=era))
    assert heard[0] == "turn 1 of at most 20, $0.0000 so far"
    assert results[0] == results[1]
    assert results[0]["status"] == "completed"


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
async def test_behind_a_proxy_everything_works_under_its_prefix(tmp_path: Path, strips: bool) -> None:
    env = environment(tmp_path, ALLOWED_HOSTS=HOST)
    key = make_key(env, "host")
    page = {"origin": f"https://{HOST}"}
    with serving(env, *(() if strips else ("--root-path", f"{PREFIX}/"))) as (address, _):
        async with proxy(address, strips=strips) as outside:
            async with connected(outside, key=key, headers=page) as modern:
                case_id = await create_clinic(modern)
                assert (await call(modern, "run_case", case_id=case_id))["status"] == "completed"
            async with connected(outside, key=key, headers=page, era="legacy") as legacy:
                assert (await call(legacy, "list_runs", case_id=case_id))["total"] == 1
            async with httpx2.AsyncClient() as rest:
                told = [await rest.get(outside + path) for path in ("/", "/openapi.json", "/agents", "/mcp")]
                agents = await rest.get(f"{outside}/agents", headers={"Authorization": f"Bearer {key}"})
    assert agents.json()["pagination"]["total"] == 1
    assert told[1].json().get("servers") == (None if strips else [{"url": PREFIX}])
    assert [answer.status_code for answer in told] == [200, 200, 401, 401]
    assert not any("http://" in f"{answer.headers} {answer.text}" for answer in told)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are delivered differently there")
async def test_a_signal_answers_whoever_waits_ends_streams_and_gives_runs_back(tmp_path: Path) -> None:
    waiting: set[str] = set()
    results: list[CallToolResult] = []
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        with serving(held_environment(tmp_path, held)) as (address, process):

            async def wait(client: Client) -> None:
                async def hear(*_: Any) -> None:
                    waiting.add(client.protocol_version)
                    if len(waiting) == len(ERAS):
                        process.send_signal(signal.SIGTERM)

                arguments = {"case_id": "Books a visit"}
                results.append(await client.call_tool("run_case", arguments, progress_callback=hear))

            try:
                with anyio.fail_after(30):
                    async with connected(address) as modern, connected(address, era="legacy") as legacy:
                        await create_clinic(modern)
                        # A client holds a result against its tool's schema, and would ask for that afterwards.
                        await legacy.list_tools()
                        async with modern.listen(resource_subscriptions=["eval://runs/none"]) as news:
                            async with anyio.create_task_group() as tasks:
                                tasks.start_soon(wait, modern)
                                tasks.start_soon(wait, legacy)
                            # One that breaks off raises.
                            assert [event async for event in news] == []
            except* httpx2.ConnectError:
                pass  # a client that takes its leave of a server that is gone already
            assert len(results) == len(ERAS)
            assert process.wait(10) == 0
            assert process.stderr is not None
            said = process.stderr.read()
    assert [line for line in said.splitlines() if "error" in line.lower() or "Traceback" in line] == []
    settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)
    async with connect(settings) as link:
        for result in results:
            answered: Any = result.structured_content
            assert answered["next"] == f'get_run(run_id="{answered["run_id"]}") waits for the rest'
            assert (await link.backend.run(answered["run_id"])).queue_status == "pending"
