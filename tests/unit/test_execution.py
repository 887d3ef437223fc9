"""What a run comes to when something other than the conversation decides it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mcp_agent_eval.backend.embedded import EmbeddedBackend, open_embedded
from mcp_agent_eval.engine.running import execution, worker
from mcp_agent_eval.engine.store import queue, runs
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from mcp_agent_eval.errors import InvalidInput, StoreError
from mcp_agent_eval.lab.packs.loading import load_pack
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Run
from tests.provider import provider
from tests.support import OFFLINE

PACK: dict[str, Any] = {
    "agents": [{"name": "A", "system_prompt": "Be brief.", "greeting_message": "Hello."}],
    "personas": [{"name": "P", "identity_prompt": "You are Ann."}],
    "suites": [{"name": "S"}],
    "cases": [
        {"name": "C", "agent": "A", "persona": "P", "suite": "S", "scenario": "You want to know the time."}
    ],
}


@asynccontextmanager
async def opened(folder: Path, **changes: Any) -> AsyncGenerator[EmbeddedBackend]:
    settings = Settings.read(database_url=f"sqlite:///{folder / 'evals.db'}", **OFFLINE | changes)
    async with open_embedded(settings) as backend:
        yield backend


async def final(backend: EmbeddedBackend, id: str) -> Run:
    while not (run := await backend.wait_run(id, 5)).is_final:
        pass
    return run


async def started(backend: EmbeddedBackend) -> str:
    ids = await load_pack(backend, PACK)
    return (await backend.start_run(ids["case"]["C"])).id


async def test_a_fault_of_ours_fails_the_run_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the conversation")

    async with opened(tmp_path) as backend:
        with monkeypatch.context() as patch:
            patch.setattr(execution, "set_stage", broken)
            run = await final(backend, await started(backend))
        assert (run.status, run.termination_reason, run.pass_fail) == ("failed", "error", None)
        assert run.error == "Internal error (ZeroDivisionError); the server's log has the details."
        assert run.case_id is not None
        again = await backend.start_run(run.case_id)
        assert (await final(backend, again.id)).status == "completed"


async def test_a_run_that_a_fault_of_ours_stops_is_left_to_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def failing(*_: object) -> None:
        raise RuntimeError("of ours")

    async with opened(tmp_path) as backend:
        with monkeypatch.context() as patch:
            patch.setattr("mcp_agent_eval.engine.running.worker.execute", failing)
            id = await started(backend)
            while not caplog.records:
                await backend.wait_run(id, 0.1)
        run = await backend.run(id)
        assert (run.status, run.queue_status) == ("running", "claimed")
    assert "left until its lease runs out" in caplog.text


async def test_a_run_that_the_database_fails_is_put_back_and_no_attempt_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([StoreError("The disk is full.")])

    async def failing_once(workshop: Any, claim: queue.Claim) -> None:
        for failure in failures:
            raise failure
        await execution.execute(workshop, claim)

    monkeypatch.setattr(worker, "LEASE", 0.3)
    monkeypatch.setattr(worker, "execute", failing_once)
    async with opened(tmp_path) as backend:
        run = await final(backend, await started(backend))
    assert (run.status, run.attempts) == ("completed", 1)


async def test_a_worker_whose_run_was_taken_over_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="mcp_agent_eval")

    async def late(workshop: Any, claim: queue.Claim) -> None:
        await execution.execute(workshop, claim._replace(epoch=claim.epoch - 1))

    async with opened(tmp_path) as backend:
        with monkeypatch.context() as patch:
            patch.setattr("mcp_agent_eval.engine.running.worker.execute", late)
            id = await started(backend)
            while "taken over" not in caplog.text:
                await backend.wait_run(id, 0.1)
        assert (await backend.run(id)).queue_status == "claimed"
        assert await backend.turns(id) == []


async def test_a_worker_leaves_a_database_alone_that_a_newer_version_has_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as backend:
        other = await open_sqlite(tmp_path / "evals.db")
        await other.write(lambda connection: connection.run("add_step", name="9999_later", sha256=""))
        await other.aclose()
        id = await started(backend)
        while not caplog.records:
            await backend.wait_run(id, 0.1)
        assert (await backend.run(id)).queue_status == "pending"
    assert "a newer version now uses this database" in caplog.text


async def test_what_is_unfinished_goes_back_to_the_queue_when_the_engine_closes(tmp_path: Path) -> None:
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        changes = {"persona_model": "openai:held", "model_base_url": held.url}
        async with opened(tmp_path, **changes) as backend:
            id = await started(backend)
            await held.arrived.wait()
        database = await open_sqlite(tmp_path / "evals.db")
        try:
            run = await database.read(lambda connection: runs.get(connection, id))
        finally:
            await database.aclose()
        assert run is not None
        assert (run.status, run.queue_status, run.attempts) == ("queued", "pending", 0)


async def test_what_a_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="just this"):
        async with opened(tmp_path):
            raise InvalidInput("just this")


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"personas": [{"name": "P"}]}, r"personas\[0\]: identity_prompt: is required"),
        ({"cases": [{"name": "C", "agent": "B"}]}, r"cases\[0\]: agent: there is no agent named 'B'"),
    ],
)
async def test_a_broken_pack_says_where(tmp_path: Path, changed: dict[str, Any], where: str) -> None:
    async with opened(tmp_path) as backend:
        with pytest.raises(InvalidInput, match=where):
            await load_pack(backend, PACK | changed)
