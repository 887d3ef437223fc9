"""The queue hands every run to one worker at a time, in order, and never more of a suite run than it allows."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from mcp_agent_eval.engine.store import queue
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.journal import NewCall, record
from mcp_agent_eval.engine.store.queue import Claim, Held, Spent, Totals
from mcp_agent_eval.types import Evaluation
from tests.contract import store_support as support
from tests.contract.store_support import claim, finish, later, new_run, new_suite_run, queued, run

database = support.database


def ids(claims: list[Claim]) -> list[str]:
    return [one.run_id for one in claims]


async def reap(database: Database, at: float, most_attempts: int = 3) -> queue.Reaped:
    return await database.write(partial(queue.reap, now=later(at), most_attempts=most_attempts))


async def release(database: Database, worker: str = "worker") -> list[str]:
    return await database.write(partial(queue.release, worker=worker, now=later(9)))


async def cancel(database: Database, run_id: str, at: float = 0) -> queue.Cancelled | None:
    return await database.write(partial(queue.request_cancel, run_id=run_id, now=later(at)))


class TestClaiming:
    async def test_runs_are_claimed_oldest_first_and_only_as_many_as_there_is_room_for(
        self, database: Database
    ) -> None:
        made = await queued(database, *(new_run() for _ in range(10)))
        assert ids(await claim(database, 4)) == made[:4]
        assert ids(await claim(database, 4)) == made[4:8]
        assert ids(await claim(database, 4)) == made[8:]
        assert await claim(database, 4) == []

    async def test_no_room_claims_nothing(self, database: Database) -> None:
        await queued(database, new_run())
        assert await claim(database, 0) == []

    async def test_a_claimed_run_is_running_since_its_first_claim(self, database: Database) -> None:
        await queued(database, new_run("one"))
        assert await claim(database, at=5) == [Claim("one", "worker", 1, 1)]
        claimed = await run(database, "one")
        assert (claimed.status, claimed.queue_status, claimed.started_at) == ("running", "claimed", later(5))
        await reap(database, 100)
        assert await claim(database, worker="other", at=100) == [Claim("one", "other", 2, 2)]
        assert (await run(database, "one")).started_at == later(5)

    async def test_a_suite_run_has_no_more_runs_claimed_than_its_parallelism(
        self, database: Database
    ) -> None:
        group = await new_suite_run(database, 3)
        made = await queued(database, *(new_run(suite_run_id=group) for _ in range(8)))
        first = await claim(database, worker="a")
        assert ids(first) == made[:3]
        assert await claim(database, worker="b") == []
        await finish(database, first[1])
        assert ids(await claim(database, worker="b")) == made[3:4]

    async def test_a_full_suite_run_holds_up_nobody_else(self, database: Database) -> None:
        narrow, wide = await new_suite_run(database, 1), await new_suite_run(database, 2)
        old = await queued(database, *(new_run(suite_run_id=narrow) for _ in range(50)))
        young = await queued(database, *(new_run(suite_run_id=wide) for _ in range(3)), new_run(), new_run())
        assert ids(await claim(database, 4)) == [old[0], young[0], young[1], young[3]]
        assert ids(await claim(database, 4)) == [young[4]]

    async def test_the_oldest_run_comes_first_whichever_suite_run_it_is_of(self, database: Database) -> None:
        groups = [await new_suite_run(database, 16) for _ in range(3)] + [None]
        made = await queued(database, *(new_run(suite_run_id=groups[n * 7 % 4]) for n in range(40)))
        assert ids(await claim(database, 13)) == made[:13]
        assert ids(await claim(database, 13)) == made[13:26]

    async def test_a_worker_claims_only_what_it_can_reach(self, database: Database) -> None:
        await queued(
            database,
            new_run("anyone"),
            new_run("one", needs=["openai@here"]),
            new_run("both", needs=["openai@here", "anthropic@there", "openai@here"]),
        )
        assert ids(await claim(database)) == ["anyone"]
        assert ids(await claim(database, offers=["offline", "openai@here"])) == ["one"]
        assert await claim(database, offers=["anthropic@there"]) == []
        assert ids(await claim(database, offers=["anthropic@there", "openai@here"])) == ["both"]

    async def test_parallelism_counts_runs_of_all_needs_together(self, database: Database) -> None:
        group = await new_suite_run(database, 3)
        await queued(database, *(new_run(suite_run_id=group, needs=[f"model {n % 2}"]) for n in range(8)))
        offers = ["model 0", "model 1"]
        assert len(await claim(database, 1, offers=["model 0"])) == 1
        assert len(await claim(database, offers=offers)) == 2
        assert await claim(database, offers=offers) == []


class TestLeases:
    async def test_a_renewed_lease_is_not_reaped(self, database: Database) -> None:
        await queued(database, new_run("one"), new_run("two"))
        await claim(database, 1, worker="a")
        await claim(database, 1, worker="b")
        held = await database.write(partial(queue.renew, worker="a", lease_until=later(60), run_ids=["one"]))
        assert held == [Held("one", 1, False)]
        assert await reap(database, 31) == (["two"], [], [])

    async def test_a_run_that_is_not_worked_on_any_more_is_left_to_its_lease(
        self, database: Database
    ) -> None:
        await queued(database, new_run("one"), new_run("two"))
        await claim(database, 2, worker="a")
        await database.write(partial(queue.renew, worker="a", lease_until=later(60), run_ids=["two"]))
        assert await reap(database, 31) == (["one"], [], [])

    async def test_renewing_tells_what_was_lost_and_what_is_to_be_cancelled(self, database: Database) -> None:
        await queued(database, new_run("lost"), new_run("held"))
        await claim(database)
        await reap(database, 31)
        await claim(database, 1, worker="thief", at=31)
        await claim(database, worker="worker", at=31)
        await cancel(database, "held")
        held = await database.write(
            partial(queue.renew, worker="worker", lease_until=later(90), run_ids=["lost", "held"])
        )
        assert held == [Held("held", 2, True)]

    async def test_a_released_run_is_pending_at_its_old_place_and_no_attempt_is_counted(
        self, database: Database
    ) -> None:
        await queued(database, *(new_run(name) for name in ("one", "two", "three")))
        await claim(database, 2)
        assert sorted(await release(database)) == ["one", "two"]
        released = await run(database, "one")
        assert (released.status, released.queue_status, released.attempts) == ("queued", "pending", 0)
        assert [one.attempt for one in await claim(database, 2)] == [1, 1]
        assert await release(database, "somebody else") == []

    async def test_a_run_whose_workers_keep_dying_is_failed(self, database: Database) -> None:
        await queued(database, new_run("one"))
        for attempt in (1, 2):
            assert (await claim(database, at=100 * attempt))[0].attempt == attempt
            expected = (["one"], [], []) if attempt == 1 else ([], ["one"], [])
            assert await reap(database, 100 * attempt + 31, most_attempts=2) == expected
        failed = await run(database, "one")
        assert (failed.status, failed.queue_status, failed.termination_reason) == ("failed", "done", "error")
        assert failed.error
        assert (failed.ended_at, failed.duration_ms) == (later(231), 131_000)

    async def test_a_run_of_which_something_was_stored_is_not_one_that_kills_its_workers(
        self, database: Database
    ) -> None:
        await queued(database, new_run("one"))
        for attempt in range(1, 5):
            (mine,) = await claim(database, at=100 * attempt)
            call = NewCall(attempt, "agent", "m", {}, {})
            work = partial(record, claim=mine, calls=[call], totals=Totals(), requests=Requests())
            assert (await database.write_own(work)).owned
            assert await reap(database, 100 * attempt + 31, most_attempts=2) == (["one"], [], [])
        assert (await run(database, "one")).attempts == 4
        await claim(database, at=600)
        assert await reap(database, 631, most_attempts=2) == (["one"], [], [])
        await claim(database, at=700)
        assert await reap(database, 731, most_attempts=2) == ([], ["one"], [])

    async def test_what_is_given_back_by_name_counts_as_no_attempt(self, database: Database) -> None:
        await queued(database, new_run("one"), new_run("two"))
        await claim(database)
        await database.write(partial(queue.give_back, worker="worker", run_ids=["one"]))
        assert [(await run(database, name)).queue_status for name in ("one", "two")] == ["pending", "claimed"]
        assert (await run(database, "one")).attempts == 0

    async def test_a_run_that_waits_for_a_model_fails_when_its_time_is_over(self, database: Database) -> None:
        await queued(database, new_run("waits"), new_run("new"))
        (mine,) = await claim(database, 1, at=10)
        assert await database.write(
            partial(queue.postpone, claim=mine, totals=Totals(3), waiting_for="It is down")
        )
        overdue = partial(
            queue.fail_overdue, longest=timedelta(seconds=60), reason=", and was until the end."
        )
        await database.write(partial(overdue, now=later(69)))
        assert (await run(database, "waits")).waiting_for == "It is down"
        await database.write(partial(overdue, now=later(71)))
        ended = await run(database, "waits")
        assert (ended.status, ended.termination_reason, ended.waiting_for) == ("failed", "error", None)
        assert (ended.error, ended.spoken_turns) == ("It is down, and was until the end.", 3)
        assert (await run(database, "new")).queue_status == "pending"

    async def test_a_lease_that_no_clock_could_have_given_is_taken_back(self, database: Database) -> None:
        await queued(database, new_run("ahead"), new_run("fair"))
        await claim(database, 1, worker="a", at=3600)
        await claim(database, 1, worker="b", at=20)
        assert await reap(database, 0) == (["ahead"], [], [])

    async def test_a_run_that_was_to_be_cancelled_is_when_its_worker_lets_go_of_it(
        self, database: Database
    ) -> None:
        await queued(database, new_run("released"), new_run("reaped"))
        await claim(database, 1, worker="a")
        await claim(database, 1, worker="b")
        assert [await cancel(database, name) for name in ("released", "reaped")] == ["signalled"] * 2
        assert await release(database, "a") == []
        assert await reap(database, 31) == ([], [], ["reaped"])
        for name in ("released", "reaped"):
            ended = await run(database, name)
            assert (ended.status, ended.queue_status) == ("cancelled", "done")
            assert ended.termination_reason == "cancelled"


class TestCancelling:
    async def test_a_pending_run_is_cancelled_at_once(self, database: Database) -> None:
        await queued(database, new_run("one"))
        assert await cancel(database, "one", at=3) == "cancelled"
        ended = await run(database, "one")
        assert (ended.status, ended.queue_status, ended.ended_at) == ("cancelled", "done", later(3))
        assert await claim(database) == []
        assert await cancel(database, "one") == "finished"

    async def test_the_worker_of_a_claimed_run_is_told(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        assert await cancel(database, "one") == "signalled"
        assert (await run(database, "one")).status == "running"
        assert await finish(database, mine, status="cancelled", termination_reason="cancelled")
        assert await cancel(database, "one") == "finished"

    async def test_a_run_that_its_worker_puts_back_meanwhile_is_cancelled(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        assert await cancel(database, "one") == "signalled"
        assert await database.write(
            partial(queue.postpone, claim=mine, totals=Totals(2), waiting_for="It is down")
        )
        ended = await run(database, "one")
        assert (ended.status, ended.queue_status, ended.waiting_for) == ("cancelled", "done", None)
        assert ended.spoken_turns == 2

    async def test_a_run_that_waits_for_a_model_is_cancelled_and_waits_no_more(
        self, database: Database
    ) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        await database.write(partial(queue.postpone, claim=mine, totals=Totals(), waiting_for="It is down"))
        assert await cancel(database, "one", at=3) == "cancelled"
        ended = await run(database, "one")
        assert (ended.waiting_for, ended.duration_ms) == (None, 3_000)

    async def test_a_run_that_is_not_there_cannot_be_cancelled(self, database: Database) -> None:
        assert await cancel(database, "missing") is None


class TestFinishing:
    async def test_the_verdict_and_the_end_of_a_run_appear_together(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        totals = Totals(4, Spent(1, 2, 3), Spent(4, 5, 6), Spent(7, 8, 9))
        verdict = {
            "score": 87.5,
            "pass_fail": True,
            "evaluation": Evaluation(score=87.5, pass_fail=True, results=[]),
        }
        assert await finish(database, mine, totals, **verdict, end_detail="end_tool", duration_ms=1234)
        done = await run(database, "one")
        assert (done.is_final, done.status, done.termination_reason) == (True, "completed", "agent_ended")
        assert (done.score, done.pass_fail, done.evaluation) == (87.5, True, verdict["evaluation"])
        assert (done.end_detail, done.duration_ms, done.spoken_turns) == ("end_tool", 1234, 4)
        assert (done.judge_input_tokens, done.judge_output_tokens, done.judge_cost_cents) == (7, 8, 1)

    async def test_nobody_finishes_a_run_that_another_worker_owns(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (stale,) = await claim(database, worker="slow")
        await reap(database, 31)
        assert not await finish(database, stale)
        (fresh,) = await claim(database, worker="fast", at=31)
        assert not await finish(database, stale)
        assert (await run(database, "one")).status == "running"
        assert await finish(database, fresh)
        assert not await finish(database, fresh)

    async def test_a_worker_that_claims_the_same_run_again_cannot_use_its_old_claim(
        self, database: Database
    ) -> None:
        await queued(database, new_run("one"))
        (old,) = await claim(database)
        await release(database)
        (new,) = await claim(database)
        assert not await finish(database, old)
        assert await finish(database, new)

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    async def test_what_is_finished_is_not_claimed_reaped_or_renewed(
        self, database: Database, status: str
    ) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        await finish(database, mine, status=status)
        assert await claim(database) == []
        assert await reap(database, 999) == ([], [], [])
        held = partial(queue.renew, worker="worker", lease_until=later(99), run_ids=["one"])
        assert await database.write(held) == []
        assert (await run(database, "one")).status == status
