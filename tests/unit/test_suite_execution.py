"""Repeats of a suite: one after the other, each run told once, and stopped without leaving anything behind."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.cli.ci.progress import Lines
from mcp_agent_eval.errors import ApiError, RateLimited, RunFinished
from mcp_agent_eval.lab.suite_execution import SuiteExecution, Watcher
from mcp_agent_eval.types import Run, SuiteRun
from tests.results import case, run, suite_run
from tests.virtual_time import run_in_no_time

CASES = [case("A"), case("B")]


class Slow:
    """As much of a backend as an execution asks for. Its runs end one after the other, `pace` seconds apart."""

    def __init__(self, pace: float, *, limited: int = 0) -> None:
        self._pace = pace
        self._limited = limited
        self.started: list[tuple[float, SuiteRun]] = []
        self.cancelled: set[str] = set()

    async def start_suite_run(self, suite_id: str, *, agent_overrides: Any = None) -> SuiteRun:
        await anyio.sleep(1)
        new = suite_run(*(run(one, True) for one in CASES))
        self.started.append((anyio.current_time(), new))
        return new

    async def suite_run(self, id: str, *, with_runs: bool = True) -> SuiteRun:
        if self._limited:
            self._limited -= 1
            raise RateLimited("Too many.", retry_after=30)
        began, found = next((began, one) for began, one in self.started if one.suite_run_id == id)
        runs = [self._now(one, began, place) for place, one in enumerate(found.runs, 1)]
        in_flight = sum(not one.is_final for one in runs)
        return found.model_copy(update={"runs": runs, "in_flight": in_flight})

    async def wait_suite_run(self, id: str, seconds: float) -> SuiteRun:
        await anyio.sleep(min(seconds, self._pace))
        return await self.suite_run(id)

    async def cancel(self, run_id: str) -> None:
        self.cancelled.add(run_id)

    def _now(self, run: Run, began: float, place: int) -> Run:
        if run.id in self.cancelled:
            return run.model_copy(update={"status": "cancelled"})
        if anyio.current_time() >= began + place * self._pace:
            return run
        return run.model_copy(update={"status": "running", "queue_status": "claimed"})


class Told:
    """Keeps what it is told, and when."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, float]] = []

    def ended(self, run: Run) -> None:
        self.runs.append((run.id, anyio.current_time()))

    def going(self, suite_run: SuiteRun) -> None:
        assert suite_run.total_runs == len(CASES)


def execution(backend: Slow, repeats: int, watcher: Watcher | None = None) -> SuiteExecution:
    return SuiteExecution(cast(Backend, backend), "suite", {}, repeats, watcher or Told())


def test_repeats_follow_each_other_and_every_run_is_told_once_when_it_ends() -> None:
    async def main() -> tuple[list[tuple[str, float]], Slow]:
        told, backend = Told(), Slow(10)
        await execution(backend, 2, told).carry_out()
        return told.runs, backend

    told, backend = run_in_no_time(main)
    assert [began for began, _ in backend.started] == [1, 22]
    assert [id for id, _ in told] == [one.id for _, started in backend.started for one in started.runs]
    assert [at for _, at in told] == [pytest.approx(at, abs=5) for at in (11, 21, 32, 42)]


def test_a_build_that_waits_for_long_does_not_fall_silent(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        await execution(Slow(150), 1, Lines()).carry_out()

    run_in_no_time(main)
    words = [line.split("  ")[0].split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert words == ["In progress", "In progress", "PASS", "In progress", "In progress", "PASS"]


def test_a_suite_that_a_budget_stopped_is_not_repeated() -> None:
    class Poor(Slow):
        async def suite_run(self, id: str, *, with_runs: bool = True) -> SuiteRun:
            found = await super().suite_run(id)
            return found.model_copy(update={"stopped": "The budget is used up."})

    async def main() -> int:
        backend = Poor(10)
        await execution(backend, 3).carry_out()
        return len(backend.started)

    assert run_in_no_time(main) == 1


def test_a_limit_of_requests_is_waited_for() -> None:
    async def main() -> float:
        backend = Slow(10, limited=3)
        await execution(backend, 1).carry_out()
        return anyio.current_time()

    assert 90 <= run_in_no_time(main) <= 130


def test_what_is_cut_short_can_be_cancelled_and_waited_for() -> None:
    async def main() -> tuple[int, Slow, list[SuiteRun]]:
        backend = Slow(10)
        one = execution(backend, 3)
        with anyio.move_on_after(13):
            await one.carry_out()
        cancelled = await one.cancel()
        await one.settle()
        return cancelled, backend, await one.suite_runs()

    cancelled, backend, [whole] = run_in_no_time(main)
    assert (cancelled, len(backend.started)) == (1, 1)
    assert [run.status for run in whole.runs] == ["completed", "cancelled"]


def test_a_suite_that_is_left_in_the_middle_of_its_start_is_known_and_can_be_cancelled() -> None:
    async def main() -> tuple[int, Slow]:
        backend = Slow(10)
        one = execution(backend, 1)
        with anyio.move_on_after(0.5):
            await one.carry_out()
        return await one.cancel(), backend

    cancelled, backend = run_in_no_time(main)
    assert (cancelled, len(backend.cancelled)) == (2, 2)


def test_a_run_whose_case_could_not_be_read_with_its_suite_run_is_read_by_itself() -> None:
    class Bare(Slow):
        async def suite_run(self, id: str, *, with_runs: bool = True) -> SuiteRun:
            found = await super().suite_run(id)
            return found.model_copy(
                update={"runs": [one.model_copy(update={"case": None}) for one in found.runs]}
            )

        async def run(self, id: str) -> Run:
            return next(one for _, started in self.started for one in started.runs if one.id == id)

    async def main() -> list[str | None]:
        one = execution(Bare(10), 1)
        await one.carry_out()
        [whole] = await one.suite_runs()
        return [run.case and run.case.name for run in whole.runs]

    assert run_in_no_time(main) == ["A", "B"]


def test_a_run_that_ends_before_it_can_be_cancelled_does_not_count() -> None:
    class Quick(Slow):
        async def cancel(self, run_id: str) -> None:
            raise RunFinished("It is over.")

    async def main() -> int:
        one = execution(Quick(1000), 1)
        with anyio.move_on_after(5):
            await one.carry_out()
        return await one.cancel()

    assert run_in_no_time(main) == 0


def test_an_error_comes_out_as_it_is_and_what_was_started_is_known() -> None:
    class Broken(Slow):
        async def wait_suite_run(self, id: str, seconds: float) -> SuiteRun:
            raise ApiError("The API is away.")

    async def main() -> int:
        one = execution(Broken(10), 1)
        with pytest.raises(ApiError):
            await one.carry_out()
        return len(await one.suite_runs())

    assert run_in_no_time(main) == 1
