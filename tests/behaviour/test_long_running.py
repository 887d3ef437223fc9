"""The long-running wrapper: calls return early, runs go on, handles are never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from mcp import Client, MCPError

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.lab.waiting import wait_until_final
from mcp_agent_eval.mcp_server.long_running import Progress
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.provider import Provider, provider
from tests.support import call, refused


async def test_a_call_that_does_not_wait_returns_a_handle_and_the_next_call(client: Client) -> None:
    case_id = await create_clinic(client)
    started = await call(client, "run_case", case_id=case_id, wait_seconds=0)
    assert started["status"] in ("queued", "running")
    assert started["next"] == f'get_run(run_id="{started["run_id"]}") waits for the rest'
    assert "score" not in started
    finished = await call(client, "get_run", run_id=started["run_id"])
    assert finished["pass_fail"] is True


async def test_a_suite_that_is_not_waited_for_is_followed_by_get_aggregate(client: Client) -> None:
    await call(client, "create_suite", name="S")
    await create_clinic(client, suite_id="S")
    started = await call(client, "run_suite", suite_id="S", wait_seconds=0)
    assert started["in_flight"] == 1
    finished = await call(client, "get_aggregate", suite_run_id=started["suite_run_id"])
    assert finished["completed"] == 1
    assert "in_flight" not in finished


async def test_an_idempotency_key_makes_a_retried_start_return_the_same_run(client: Client) -> None:
    case_id = await create_clinic(client)
    first = await call(client, "run_case", case_id=case_id, idempotency_key="k1")
    second = await call(client, "run_case", case_id=case_id, idempotency_key="k1")
    assert first["run_id"] == second["run_id"]
    assert (await call(client, "list_runs"))["total"] == 1
    await create_clinic_twin(client)
    other = await refused(client, "run_case", case_id="Twin", idempotency_key="k1")
    assert "another case" in other["error"]


async def create_clinic_twin(client: Client) -> None:
    await call(client, "create_case", name="Twin", agent_id="Clinic", persona_id="Maya", scenario="You call.")


async def test_the_same_suite_key_returns_the_same_suite_run(client: Client) -> None:
    await call(client, "create_suite", name="S")
    await create_clinic(client, suite_id="S")
    first = await call(client, "run_suite", suite_id="S", idempotency_key="k")
    second = await call(client, "run_suite", suite_id="S", idempotency_key="k")
    assert first == second
    assert (await call(client, "list_runs"))["total"] == 1


async def test_progress_is_reported_while_a_run_is_going(settings: Settings) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async with (
        provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held,
        held_server(settings, held) as client,
    ):

        async def report(progress: float, total: float | None, message: str | None) -> None:
            seen.append((progress, total, message))
            held.gate.set()

        case_id = await create_clinic(client)
        with anyio.fail_after(10):
            await client.call_tool("run_case", {"case_id": case_id}, progress_callback=report)
    assert seen[0][1:] == (20, "turn 1 of at most 20, $0.0000 so far")
    assert all(before[0] < after[0] for before, after in pairwise(seen))


async def test_a_call_that_times_out_leaves_its_run_going(settings: Settings) -> None:
    async with (
        provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held,
        held_server(settings, held) as client,
    ):
        case_id = await create_clinic(client)
        with pytest.raises(MCPError):
            await client.call_tool("run_case", {"case_id": case_id}, read_timeout_seconds=2)
        assert held.asked
        held.gate.set()
        listed = await call(client, "list_runs", case_id=case_id)
        result = await call(client, "get_run", run_id=listed["runs"][0]["run_id"])
        assert result["termination_reason"] == "persona_goodbye"


async def test_a_run_is_cancelled_at_its_next_turn_and_keeps_what_was_said(settings: Settings) -> None:
    async with (
        provider(lambda _: "I need help.", open_gate=False) as held,
        held_server(settings, held) as client,
    ):
        case_id = await create_clinic(client)
        started = await call(client, "run_case", case_id=case_id, wait_seconds=0)
        with anyio.fail_after(5):
            await held.arrived.wait()
        cancelled = await call(client, "cancel_run", run_id=started["run_id"])
        assert cancelled["note"] == "stops at its next turn"
        held.gate.set()
        result = await call(client, "get_run", run_id=started["run_id"])
        assert (result["status"], result["termination_reason"]) == ("cancelled", "cancelled")
        assert "score" not in result
        transcript = await call(client, "read_transcript", run_id=started["run_id"])
        assert [turn["role"] for turn in transcript["untrusted_turns"]] == ["agent", "persona"]


async def test_a_suite_run_is_cancelled_with_the_runs_that_still_wait(settings: Settings) -> None:
    async with (
        provider(lambda _: "I need help.", open_gate=False) as held,
        held_server(settings, held) as client,
    ):
        await call(client, "create_suite", name="S", parallelism=1)
        await create_clinic(client, suite_id="S")
        await call(
            client, "create_case", name="2", agent_id="Clinic", persona_id="Maya", scenario="s", suite_id="S"
        )
        started = await call(client, "run_suite", suite_id="S", wait_seconds=0)
        with anyio.fail_after(5):
            await held.arrived.wait()
        assert len(held.asked) == 1
        stopped = await call(client, "cancel_run", run_id=started["suite_run_id"])
        assert stopped["runs_stopped"] == 2
        held.gate.set()
        aggregate = await call(client, "get_aggregate", suite_run_id=started["suite_run_id"])
        assert (aggregate["cancelled"], aggregate["completed"]) == (2, 0)
        assert len(held.asked) == 1


async def test_a_run_that_takes_too_long_ends_by_its_clock_and_is_scored(settings: Settings) -> None:
    slow = settings.model_copy(update={"run_timeout": 0.3})
    async with provider(lambda _: "never", open_gate=False) as held, held_server(slow, held) as client:
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert (result["status"], result["termination_reason"], result["score"]) == (
            "completed",
            "timeout",
            0,
        )


@asynccontextmanager
async def held_server(settings: Settings, held: Provider) -> AsyncIterator[Client]:
    """A server whose personas are played by a provider that the test holds back."""
    changed = settings.model_copy(update={"persona_model": "openai:held", "model_base_url": held.url})
    async with Client(build_server(lambda: connect(changed))) as client:
        yield client


async def test_cancelling_a_finished_run_is_refused_with_what_to_call_instead(client: Client) -> None:
    done = await call(client, "run_case", case_id=await create_clinic(client))
    error = await refused(client, "cancel_run", run_id=done["run_id"])
    assert error["code"] == "RUN_FINISHED"
    assert "get_run" in error["hint"]


class Countdown:
    """Work that is final after a number of looks."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    @property
    def is_final(self) -> bool:
        return self.left <= 0

    async def look(self, seconds: float) -> Countdown:
        self.left -= 1
        return self


async def test_waiting_ends_as_soon_as_the_work_is_final() -> None:
    reported: list[int] = []

    async def report(work: Countdown) -> None:
        reported.append(work.left)

    with anyio.fail_after(5):
        await wait_until_final(Countdown(3).look, 60, report)
    assert reported == [2, 1]


async def test_nobody_waits_longer_than_five_seconds_for_a_sign() -> None:
    asked: list[float] = []
    work = Countdown(3)

    async def look(seconds: float) -> Countdown:
        asked.append(seconds)
        return await work.look(seconds)

    async def report(_: Countdown) -> None:
        pass

    await wait_until_final(look, 45, report)
    assert len(asked) == 3
    assert max(asked) <= 5


async def test_waiting_for_no_time_looks_once() -> None:
    work = Countdown(3)

    async def report(_: Countdown) -> None:
        raise AssertionError("nobody waited")

    await wait_until_final(work.look, 0, report)
    assert work.left == 2


async def test_progress_grows_although_there_is_no_news() -> None:
    sent: list[float] = []

    async def send(progress: float, total: float | None, message: str | None) -> None:
        assert total is not None
        assert progress <= total
        sent.append(progress)

    progress = Progress(send)
    for _ in range(3):
        await progress.report(2, 2, "turn 2 of 2")
    assert sent == sorted(set(sent))


async def test_a_run_without_a_score_is_not_measured_by_a_threshold(settings: Settings) -> None:
    async with provider(lambda _: "Hi.", open_gate=False) as held:
        changed = settings.model_copy(update={"persona_model": "openai:held", "model_base_url": held.url})
        async with Client(build_server(lambda: connect(changed))) as client:
            case_id = await create_clinic(client)
            run_id = (await call(client, "run_case", case_id=case_id, wait_seconds=0))["run_id"]
            await call(client, "cancel_run", run_id=run_id)
            held.gate.set()
            cancelled = await call(client, "get_run", run_id=run_id)
    assert cancelled["status"] == "cancelled"
    assert "pass_threshold" not in cancelled
