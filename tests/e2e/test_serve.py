"""`serve` as a process: keys, refusals to start, and an orderly end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.contract.test_backend import finished, make_case
from tests.support import OFFLINE, call, refused, stdio_server


def environment(folder: Path, **settings: str) -> dict[str, str]:
    given = {"DATABASE_URL": f"sqlite:///{folder / 'evals.db'}"} | {k.upper(): v for k, v in OFFLINE.items()}
    return os.environ | {f"AGENT_EVAL_{name}": value for name, value in (given | settings).items()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mcp_agent_eval", *arguments]


@contextmanager
def serving(env: dict[str, str], *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server on a free port, and its process."""
    with subprocess.Popen(
        command("serve", "--port", "0", *arguments), env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            assert found, said
            yield found[0], process
        finally:
            process.terminate()
            process.wait(10)


def make_key(env: dict[str, str], *arguments: str) -> str:
    made = subprocess.run(
        command("keys", "create", *arguments), env=env, capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


def test_without_a_key_it_is_open_to_this_machine_and_says_so(tmp_path: Path) -> None:
    with serving(environment(tmp_path)) as (address, process):
        assert process.stderr is not None
        assert "No key is set" in process.stderr.readline()
        listed = httpx2.get(f"{address}/agent-eval/cases")
        assert (listed.status_code, listed.json()["data"]) == (200, [])
        foreign = httpx2.get(f"{address}/agent-eval/cases", headers={"host": "evil.example"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "FORBIDDEN")
        page = httpx2.get(f"{address}/agent-eval/cases", headers={"origin": "https://evil.example"})
        assert page.status_code == 403


def test_a_key_opens_what_its_scopes_say_until_it_is_revoked(tmp_path: Path) -> None:
    env = environment(tmp_path, RATE_LIMIT="5")
    key = make_key(env, "reader", "--scope", "agent_eval:read")
    with serving(env) as (address, _):
        with httpx2.Client(base_url=address, headers={"authorization": f"Bearer {key}"}) as client:
            listed = client.get("/agent-eval/cases")
            assert (listed.status_code, listed.headers["x-ratelimit-remaining"]) == (200, "4")
            refused = client.post("/agent-eval/suites", json={"name": "S"})
            assert (refused.status_code, refused.json()["code"]) == (401, "INSUFFICIENT_SCOPE")
            assert [client.get("/agents").status_code for _ in range(4)] == [200, 200, 200, 429]
            assert httpx2.get(f"{address}/agents").json()["code"] == "MISSING_KEY"
            subprocess.run(command("keys", "revoke", "reader"), env=env, capture_output=True, check=True)
            assert client.get("/agents").json()["code"] == "INVALID_KEY"


def test_it_does_not_start_where_others_could_reach_it_without_a_key(tmp_path: Path) -> None:
    started = subprocess.run(
        command("serve", "--host", "0.0.0.0", "--port", "0"),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert started.returncode == 1
    assert "keys create" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with serving(environment(tmp_path)) as (address, _):
        port = address.rpartition(":")[2]
        second = subprocess.run(
            command("serve", "--port", port),
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert second.returncode == 1
    assert f"port {port}" in second.stderr
    assert "--port" in second.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are delivered differently there")
async def test_a_signal_ends_it_in_order_and_its_runs_go_on_elsewhere(tmp_path: Path) -> None:
    settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)
    async with connect(settings) as link:
        case = await make_case(link.backend)
    with serving(environment(tmp_path)) as (address, process):
        started = httpx2.post(
            f"{address}/agent-eval/cases/{case.id}/run", headers={"prefer": "respond-async"}
        )
        assert started.status_code == 202
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    async with connect(settings) as link:
        run = await finished(link.backend, await link.backend.run(started.json()["id"]))
        assert run.status == "completed"


async def test_an_mcp_server_elsewhere_works_on_it_with_a_key(tmp_path: Path) -> None:
    env = environment(tmp_path, RATE_LIMIT="600")
    key = make_key(env, "mcp")
    with serving(env) as (address, _):
        here = tmp_path / "elsewhere"
        server = stdio_server(here, backend="hosted", api_url=address, api_key=key)
        async with Client(server) as client:
            case_id = await create_clinic(client)
            run = await call(client, "run_case", case_id="Books a visit")
            assert run["pass_fail"] is True
            assert (await call(client, "list_runs", case_id=case_id))["total"] == 1
        assert not here.exists()
        wrong = stdio_server(here, backend="hosted", api_url=address, api_key="wrong")
        async with Client(wrong) as client:
            error = await refused(client, "list", kind="case")
            assert error["code"] == "INVALID_KEY"
            assert "wrong" not in str(error)
