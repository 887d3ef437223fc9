"""The fault harness in part: what CI can bear. `python -m tests.faults` is the whole of it."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_agent_eval.engine.store import runs
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from tests.contract.store_support import new_run
from tests.faults import scenarios
from tests.faults.checks import Evidence, Kill, crowds, problems
from tests.faults.databases import durable_database
from tests.faults.provider import Request
from tests.faults.records import Recorded, Records
from tests.faults.rig import Plan, Rig, rig
from tests.faults.script import Step
from tests.postgres import own_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and limits of Linux")


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'evals.db'}"


async def test_killed_workers_lose_no_run_and_pay_twice_for_nothing_but_what_was_in_flight(
    database_url: str, tmp_path: Path
) -> None:
    report = await scenarios.killed(database_url, tmp_path, runs=40, kills=15)
    assert not report.problems, report
    assert report.figures["kills"] == 15


async def test_killed_workers_use_no_tool_twice(file_url: str, tmp_path: Path) -> None:
    report = await scenarios.acting(file_url, tmp_path, runs=20, kills=8)
    assert not report.problems, report


async def test_a_run_whose_workers_die_again_and_again_is_given_up(file_url: str, tmp_path: Path) -> None:
    report = await scenarios.given_up(file_url, tmp_path)
    assert not report.problems, report


async def test_a_worker_that_stood_still_past_its_lease_writes_nothing_more(
    database_url: str, tmp_path: Path
) -> None:
    report = await scenarios.stopped(database_url, tmp_path)
    assert not report.problems, report


async def test_a_worker_that_stands_still_in_a_transaction_does_not_hold_up_the_others(
    postgres_url: str, tmp_path: Path
) -> None:
    report = await scenarios.stopped_in_a_transaction(postgres_url, tmp_path)
    assert not report.problems, report


async def test_a_clock_that_jumps_loses_nothing(file_url: str, tmp_path: Path) -> None:
    report = await scenarios.jumping_clocks(file_url, tmp_path)
    assert not report.problems, report


async def test_clocks_that_differ_between_machines_lose_nothing(postgres_url: str, tmp_path: Path) -> None:
    report = await scenarios.different_clocks(postgres_url, tmp_path)
    assert not report.problems, report


async def test_runs_wait_out_a_full_disk(file_url: str, tmp_path: Path) -> None:
    report = await scenarios.full_disk(file_url, tmp_path)
    assert not report.problems, report


async def test_runs_wait_out_a_provider_that_is_down(postgres_url: str, tmp_path: Path) -> None:
    report = await scenarios.down(postgres_url, tmp_path)
    assert not report.problems, report


async def test_an_older_version_claims_nothing_once_a_newer_one_has_changed_the_schema(
    file_url: str, tmp_path: Path
) -> None:
    report = await scenarios.two_versions(file_url, tmp_path)
    assert not report.problems, report


async def test_runs_outlast_a_restart_of_their_database(tmp_path: Path) -> None:
    with own_server() as server, durable_database(server) as url:
        report = await scenarios.restarted(url, tmp_path, server, "immediate", runs=20)
    assert not report.problems, report


SPOILT = {
    "a turn is missing": "DELETE FROM turns WHERE turn_number = 2",
    "a turn is there twice": "INSERT INTO turns SELECT run, 99, id, role, text, tool_calls, flow_event, model, "
    "input_tokens, output_tokens, cost_cents, latency_ms, created_at FROM turns WHERE turn_number = 2",
    "somebody said something else": "UPDATE turns SET text = 'Hm.' WHERE turn_number = 2",
    "a call is missing": "DELETE FROM model_calls WHERE seq = 2",
    "a call was never answered": 'UPDATE model_calls SET response = \'{"id": "77777"}\' WHERE seq = 2',
    "a call is another role's": "UPDATE model_calls SET role = 'judge' WHERE seq = 2",
    "tokens are counted twice": "UPDATE runs SET agent_input_tokens = 2 * agent_input_tokens",
    "a run is not over": "UPDATE runs SET queue_status = 'pending'",
    "a run is not scored": "UPDATE run_documents SET evaluation = NULL",
    "a run is missing": "UPDATE runs SET case_id = (SELECT min(id) FROM cases)",
}


@asynccontextmanager
async def finished(folder: Path) -> AsyncIterator[Rig]:
    """Two runs that nobody disturbed."""
    async with rig(f"sqlite:///{folder / 'evals.db'}", folder, Plan(2)) as at:
        await at.fleet.start_ready()
        await at.until_over()
        yield at


def evidence(at: Rig, *kills: Kill) -> Evidence:
    return Evidence(at.calls, at.provider, at.records.runs(), kills)


async def test_the_harness_finds_no_fault_in_runs_that_nobody_disturbed(tmp_path: Path) -> None:
    async with finished(tmp_path) as at:
        assert problems(evidence(at)) == []


async def test_the_harness_notices_whatever_is_wrong_in_the_database(tmp_path: Path) -> None:
    async with finished(tmp_path) as at:
        changed = {name: spoilt_runs(tmp_path, name, change) for name, change in SPOILT.items()}
        found = {name: problems(Evidence(at.calls, at.provider, spoilt)) for name, spoilt in changed.items()}
    assert [name for name, noticed in found.items() if not noticed] == []


def spoilt_runs(folder: Path, name: str, change: str) -> Sequence[Recorded]:
    """What stands in a copy of the database that was changed."""
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(folder / "evals.db")) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    spoilt = Records(f"sqlite:///{path}")
    spoilt.change(change)
    return spoilt.runs()


async def test_the_harness_allows_one_repeated_call_for_each_run_that_a_lost_worker_held(
    tmp_path: Path,
) -> None:
    async with finished(tmp_path) as at:
        [run, _] = at.records.runs()
        kill = Kill("worker-0", [run.row["id"]], 1)
        repeat_a_call(at, run)
        assert len(problems(evidence(at))) == 1
        assert problems(evidence(at, kill)) == []
        repeat_a_call(at, run)
        assert len(problems(evidence(at, kill))) == 1


def repeat_a_call(at: Rig, run: Recorded) -> None:
    step = Step(at.calls[run.row["case_id"]], "agent", 0)
    at.provider.requests.append(Request(len(at.provider.requests), step, "worker-0", "answered"))


async def test_the_harness_notices_more_requests_at_once_than_are_allowed(tmp_path: Path) -> None:
    async with finished(tmp_path) as at:
        most = at.provider.most["caller"]
        assert crowds(evidence(at), {"caller": most}) == []
        assert crowds(evidence(at), {"caller": most - 1})


async def test_a_process_that_closes_the_file_takes_no_commit_from_one_that_has_it_open(
    tmp_path: Path,
) -> None:
    path = tmp_path / "evals.db"
    database = await open_sqlite(path)
    assert await runs_seen_by_another_process(path) == 0
    await database.write(partial(runs.insert, new=[new_run()]))
    assert await runs_seen_by_another_process(path) == 1
    await database.aclose()


async def runs_seen_by_another_process(path: Path) -> int:
    script = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM runs').fetchone())"
    return int((await anyio.run_process([sys.executable, "-c", script, str(path)])).stdout)
