"""What was said is written down once, whole, and only by the worker that owns the run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mcp_agent_eval.engine.store import journal, queue
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.journal import NewCall, Recorded
from mcp_agent_eval.engine.store.queue import Claim, Spent, Totals
from mcp_agent_eval.types import Json, ToolUse, Turn
from tests.contract import store_support as support
from tests.contract.store_support import claim, finish, later, new_id, new_run, queued, run

database = support.database


def body(said: int, **rest: object) -> Json:
    messages = [
        {"role": "user" if n % 2 else "assistant", "content": f"line {n} \ud800\0"} for n in range(said)
    ]
    return {"model": "some-model", "messages": messages, "tools": [{"name": "book"}], **rest}


def call(seq: int, **fields: object) -> NewCall:
    made: Json = {"role": "agent" if seq % 2 else "persona", "model": "openai:some-model"}
    made |= {
        "request": body(seq),
        "response": {"id": seq, "text": f"line {seq}"},
        "reply": {"text": f"line {seq}"},
    }
    made |= {"input_tokens": 10, "output_tokens": 5, "cost_nano_usd": 1500, "created_at": later(seq)}
    return NewCall(seq, **made | fields)


def turn(mine: Claim, number: int, **fields: object) -> Turn:
    made: Json = {
        "id": new_id(),
        "run_id": mine.run_id,
        "turn_number": number,
        "role": "agent",
        "text": "Hello.",
    }
    return Turn(**made | {"created_at": later(number)} | fields)


async def record(
    database: Database,
    mine: Claim,
    calls: Sequence[NewCall] = (),
    turns: Sequence[Turn] = (),
    requests: Requests | None = None,
    totals: Totals | None = None,
) -> Recorded:
    return await database.write(
        partial(
            journal.record,
            claim=mine,
            calls=calls,
            turns=turns,
            totals=totals or Totals(),
            requests=requests or Requests(),
        )
    )


async def begun(database: Database, id: str = "one") -> Claim:
    await queued(database, new_run(id))
    (mine,) = await claim(database, 1)
    return mine


async def conversed(database: Database, mine: Claim, calls: int) -> Requests:
    """A run with that many calls; the requests to go on with."""
    requests = Requests()
    for seq in range(calls):
        requests = (await record(database, mine, [call(seq)], requests=requests)).requests
    return requests


class TestRecording:
    async def test_a_turn_comes_back_as_it_was_given(self, database: Database) -> None:
        mine = await begun(database)
        used = ToolUse(id="1", name="book", args={"when": [1, 1.5, None]}, result={"ok": True}, mocked=True)
        turns = [
            turn(
                mine, 0, text="\ud83d\ude00 \0 \x01", model="m", latency_ms=12, cost_cents=1, input_tokens=3
            ),
            turn(mine, 1, role="tool_result", text=None, tool_calls=[used]),
            turn(
                mine, 2, role="flow_event", text=None, flow_event={"type": "flow_node_entered"}, tool_calls=[]
            ),
        ]
        await record(database, mine, turns=turns)
        assert await database.read(partial(journal.turns, run_id="one")) == turns
        assert await database.read(partial(journal.turns, run_id="one", from_turn=1, limit=1)) == turns[1:2]
        assert await database.read(partial(journal.turns, run_id="missing")) == []

    async def test_calls_turns_and_totals_are_written_together(self, database: Database) -> None:
        mine = await begun(database)
        totals = Totals(1, Spent(10, 5, 20_000_000), Spent(1, 1, 0, unpriced=True), unpriced_models=["x"])
        recorded = await record(database, mine, [call(0)], [turn(mine, 0)], totals=totals)
        assert (recorded.owned, recorded.cancel_requested) == (True, False)
        now = await run(database, "one")
        assert (now.spoken_turns, now.agent_input_tokens, now.agent_cost_cents) == (1, 10, 2)
        assert (now.persona_cost_cents, now.total_cost_cents, now.unpriced_models) == (None, None, ["x"])
        assert now.cost_usd == 0.02

    async def test_a_row_that_is_there_already_stays_as_it_is(self, database: Database) -> None:
        mine = await begun(database)
        first = turn(mine, 0, text="first")
        for text, said in (("first", "one"), ("second", "two")):
            again = await record(
                database,
                mine,
                [call(0, response={"text": said})],
                [turn(mine, 0, text=text, id=first.id, created_at=first.created_at)],
            )
            assert again.owned
        assert await database.read(partial(journal.turns, run_id="one")) == [first]
        calls = await database.read(partial(journal.calls, run_id="one"))
        assert [one.response for one in calls] == [{"text": "one"}]

    async def test_a_worker_hears_of_a_cancel_with_its_next_write(self, database: Database) -> None:
        mine = await begun(database)
        await database.write(partial(queue.request_cancel, run_id="one", now=later()))
        assert (await record(database, mine, [call(0)])).cancel_requested

    async def test_a_worker_that_lost_its_lease_writes_nothing(self, database: Database) -> None:
        mine = await begun(database)
        await database.write(partial(queue.reap, now=later(31), most_attempts=9))
        await claim(database, worker="thief", at=31)
        lost = await record(database, mine, [call(0)], [turn(mine, 0)], totals=Totals(1))
        assert not lost.owned
        assert await database.read(partial(journal.turns, run_id="one")) == []
        assert await database.read(partial(journal.calls, run_id="one")) == []
        assert (await run(database, "one")).spoken_turns == 0

    async def test_nothing_is_written_to_a_run_that_is_over(self, database: Database) -> None:
        mine = await begun(database)
        await finish(database, mine)
        assert not (await record(database, mine, [call(0)])).owned


class TestReading:
    async def test_a_call_comes_back_with_its_whole_bodies(self, database: Database) -> None:
        mine = await begun(database)
        odd = call(0, cost_nano_usd=None, dropped=("temperature",), attempts=3, latency_ms=7, error="refused")
        await record(database, mine, [odd])
        (back,) = await database.read(partial(journal.calls, run_id="one"))
        assert back.model_dump(exclude={"run_id"}) == {
            "seq": 0,
            "role": "persona",
            "model": "openai:some-model",
            "request": body(0),
            "response": {"id": 0, "text": "line 0"},
            "input_tokens": 10,
            "output_tokens": 5,
            "cost_usd": None,
            "latency_ms": 7,
            "attempts": 3,
            "dropped": ["temperature"],
            "error": "refused",
            "created_at": later(0),
        }

    async def test_every_request_is_rebuilt_wherever_reading_begins(self, database: Database) -> None:
        mine = await begun(database)
        await conversed(database, mine, 12)
        for first in (0, 1, 5, 11):
            calls = await database.read(partial(journal.calls, run_id="one", from_seq=first, limit=4))
            assert [one.request for one in calls] == [body(seq) for seq in range(first, min(first + 4, 12))]
        assert await database.read(partial(journal.calls, run_id="one", from_seq=12)) == []

    async def test_a_conversation_takes_room_by_its_length_and_not_by_its_square(
        self, database: Database
    ) -> None:
        def stored(connection: Connection) -> int:
            return sum(
                len(row["request"]) for row in connection.all("list_requests", run_id="one", before_seq=99)
            )

        mine = await begun(database)
        requests = await conversed(database, mine, 12)
        half = await database.read(stored)
        for seq in range(12, 24):
            requests = (await record(database, mine, [call(seq)], requests=requests)).requests
        assert await database.read(stored) < half * 2.5


class TestTakingOver:
    async def test_another_worker_has_every_reply_and_goes_on_where_the_first_one_stopped(
        self, database: Database
    ) -> None:
        mine = await begun(database)
        await conversed(database, mine, 5)
        await database.write(partial(queue.reap, now=later(31), most_attempts=9))
        (taken,) = await claim(database, worker="other", at=31)
        found = await database.read(partial(journal.replies, run_id="one"))
        assert [one.reply for one in found.replies] == [{"text": f"line {seq}"} for seq in range(5)]
        assert [one.cost_nano_usd for one in found.replies] == [1500] * 5
        assert [one.call.seq for one in found.replies] == list(range(5))
        await record(database, taken, [call(5)], requests=found.requests)
        calls = await database.read(partial(journal.calls, run_id="one"))
        assert [one.request for one in calls] == [body(seq) for seq in range(6)]

    async def test_a_run_that_has_not_begun_has_no_replies(self, database: Database) -> None:
        await queued(database, new_run("one"))
        found = await database.read(partial(journal.replies, run_id="one"))
        assert found.replies == []
