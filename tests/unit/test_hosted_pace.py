"""One client stays below the API's limit, leaves room for whoever waits, and keeps to what answers tell it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from uuid import uuid4

import anyio
import httpx2
import pytest

from mcp_agent_eval.backend.hosted.backend import HostedBackend, open_hosted
from mcp_agent_eval.backend.hosted.client import ApiClient
from mcp_agent_eval.backend.hosted.pace import Pace
from mcp_agent_eval.errors import ApiError, OutcomeUnknown, RateLimited
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from tests.virtual_time import run_in_no_time

SUITE, SUITE_RUN = str(uuid4()), str(uuid4())
MINUTE = 60.0


class SlowApi:
    """An API whose runs take a given time. Remembers when it was asked for what."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.asked: list[tuple[float, str]] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        now = anyio.current_time()
        path = request.url.path
        self.asked.append((now, path))
        if path == f"/agent-eval/suites/{SUITE}/runs":
            return httpx2.Response(200, json={"data": [self._aggregate(now)]})
        if path == "/agent-eval/runs":
            suite_run = request.url.params.get("suite_run_id")
            rows = [self._run(str(uuid4()), now)] if suite_run else []
            return httpx2.Response(200, json={"data": rows, "pagination": {"total": len(rows)}})
        return httpx2.Response(200, json=self._run(path.rpartition("/")[2], now))

    def busiest_minute(self) -> int:
        """The most requests within any 60 seconds."""
        times = [at for at, _ in self.asked]
        return max(sum(1 for at in times if start <= at < start + MINUTE) for start in times)

    def _aggregate(self, now: float) -> Json:
        done = min(50, int(50 * now / self._seconds))
        counts = {"total_runs": 50, "completed": done, "in_flight": 50 - done, "cancelled": 0}
        return {"suite_run_id": SUITE_RUN, "suite_id": SUITE, "passed": done, "failed": 0} | counts | COSTS

    def _run(self, id: str, now: float) -> Json:
        over = now >= self._seconds
        state = {"status": "completed", "queue_status": "done", "pass_fail": True, "score": 100}
        going = {"status": "running", "queue_status": "claimed"}
        row = {"id": id, "case_id": None, "agent_id": None, "persona_id": None, "suite_id": SUITE}
        evaluation = {"score": 100, "pass_fail": True, "results": []}
        return (
            row
            | {"created_at": "2026-11-21T00:00:00Z"}
            | (state | {"evaluation": evaluation} if over else going)
        )


COSTS = {"total_cost_cents": 0, "score_avg": None, "pass_rate": None, "started_at": None, "ended_at": None}


def with_api(api: SlowApi, use: Callable[[HostedBackend], Awaitable[None]]) -> None:
    """Use a backend over the API, in no time."""

    async def main() -> None:
        transport = httpx2.MockTransport(api.answer)
        async with open_hosted(Settings.read(backend="hosted"), transport=transport) as backend:
            await use(backend)

    run_in_no_time(main)


def test_a_suite_of_fifty_runs_is_watched_with_a_few_requests_a_minute() -> None:
    api = SlowApi(seconds=600)

    async def watch(backend: HostedBackend) -> None:
        aggregate = await backend.wait_suite_run(SUITE_RUN, 0)
        while not aggregate.is_final:
            aggregate = await backend.wait_suite_run(SUITE_RUN, 4)
        assert anyio.current_time() < 660

    with_api(api, watch)
    assert api.busiest_minute() < 60


def test_fifty_runs_that_are_watched_each_on_its_own_stay_below_the_limit() -> None:
    api = SlowApi(seconds=300)

    async def watch_one(backend: HostedBackend) -> None:
        id = str(uuid4())
        while not (await backend.wait_run(id, 4)).is_final:
            pass

    async def watch(backend: HostedBackend) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(watch_one, backend)

    with_api(api, watch)
    assert api.busiest_minute() < 60


def test_looks_grow_rarer_while_nothing_happens() -> None:
    api = SlowApi(seconds=100_000)
    id = str(uuid4())

    async def watch(backend: HostedBackend) -> None:
        with anyio.move_on_after(300):
            while True:
                await backend.wait_run(id, 4)

    with_api(api, watch)
    times = [at for at, _ in api.asked]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] < 1
    assert 8 <= gaps[-1] <= 12
    assert len(set(gaps[-5:])) == 5


def test_who_waits_for_an_answer_is_not_held_up_by_those_who_look() -> None:
    async def main() -> None:
        pace = Pace()
        for _ in range(45):
            await pace.turn(background=True)
        assert anyio.current_time() == 0
        for _ in range(14):
            await pace.turn()
        assert anyio.current_time() == 0
        with pytest.raises(RateLimited) as refused:
            await pace.turn()
        assert refused.value.retry_after == 60
        await pace.turn(background=True)
        assert anyio.current_time() == 60

    run_in_no_time(main)


def test_a_larger_limit_and_a_window_that_is_used_up_are_learned_from_answers() -> None:
    async def main() -> None:
        pace = Pace(wall=lambda: 1000.0)
        pace.learn({"x-ratelimit-limit": "600"})
        for _ in range(500):
            await pace.turn()
        assert anyio.current_time() == 0
        pace.learn({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1015"})
        await pace.turn()
        assert anyio.current_time() == 15

    run_in_no_time(main)


def test_a_request_that_the_limit_turned_away_is_sent_again_when_the_answer_says() -> None:
    answers = [
        httpx2.Response(429, json={}, headers={"retry-after": "7"}),
        httpx2.Response(200, json={"a": 1}),
    ]

    async def main() -> None:
        transport = httpx2.MockTransport(lambda _: answers.pop(0))
        async with ApiClient("http://api", None, transport=transport) as client:
            assert await client.send("POST", "/x", repeatable=False) == {"a": 1}
        assert anyio.current_time() == 7

    run_in_no_time(main)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_server_is_asked_again_only_for_what_may_be_repeated(status: int) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.method)
        return httpx2.Response(status, json={"error": "down"})

    async def main() -> None:
        async with ApiClient("http://api", None, transport=httpx2.MockTransport(answer)) as client:
            with pytest.raises(ApiError, match="down"):
                await client.get("/x")
            with pytest.raises(OutcomeUnknown):
                await client.send("POST", "/x", repeatable=False)

    run_in_no_time(main)
    assert asked == ["GET"] * 4 + ["POST"]
