"""The store keeps nouns, runs and aggregates, in every dialect alike."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agent_eval.engine.store import nouns, runs, suite_runs
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.queue import Spent, Totals
from mcp_agent_eval.engine.store.texts import escape, unescape
from mcp_agent_eval.errors import StoreError
from mcp_agent_eval.types import (
    Agent,
    Assertion,
    AssertionResult,
    Case,
    Evaluation,
    Evidence,
    Persona,
    Run,
    RunFilter,
    Suite,
    Tool,
    now,
)
from tests.contract import store_support as support
from tests.contract.store_support import (
    Background,
    Pause,
    agent,
    case,
    claim,
    finish,
    later,
    new_run,
    new_suite_run,
    persona,
    queued,
    stored,
    suite,
)
from tests.support import shared_path

database = support.database

ANY_CHARACTER = st.characters(exclude_categories=())


class TestNouns:
    async def test_every_noun_comes_back_as_it_was_given(self, database: Database) -> None:
        tool = Tool(name="book", parameters={"type": "object", "properties": {"when": {"type": "string"}}})
        receptionist = agent(tools=[tool], variables={"Name": None}, temperature=0.5, model="offline")
        caller = persona(behavior_traits={"patience": "low", "known_info": [1, 1.5, None, {"x": True}]})
        smoke = suite(parallelism=4)
        must = Assertion(type="must_say", pattern="sorry", description=None)
        leak = case(
            receptionist, caller, suite_id=smoke.id, success_criteria=[must], agent_overrides={"a": []}
        )
        everything = (receptionist, caller, smoke, leak)
        await stored(database, *everything)
        for noun in everything:
            back = await database.read(partial(nouns.get, cls=type(noun), id=noun.id))
            assert back == noun
            assert back.model_dump_json() == noun.model_dump_json()

    async def test_an_expanded_case_is_stored_without_what_it_refers_to(self, database: Database) -> None:
        receptionist, caller = agent(), persona()
        leak = case(receptionist, caller, agent=receptionist, persona=caller)
        await stored(database, receptionist, caller, leak)
        back = await database.read(partial(nouns.get, cls=Case, id=leak.id))
        assert back == leak.model_copy(update={"agent": None, "persona": None})

    async def test_what_was_accepted_once_stays_readable_when_the_rules_are_tightened(
        self, database: Database
    ) -> None:
        odd = Tool.model_construct(name="not a name!", parameters={"type": "nonsense"})
        old = agent().model_copy(update={"tools": [odd], "temperature": 99})
        await stored(database, old)
        back = await database.read(partial(nouns.get, cls=Agent, id=old.id))
        assert back is not None
        assert (back.tools[0].name, back.temperature) == ("not a name!", 99)

    async def test_a_changed_noun_takes_the_place_of_the_old_one(self, database: Database) -> None:
        first, second = agent(), agent()
        caller = persona()
        leak = case(first, caller)
        await stored(database, first, second, caller, leak)
        changed = leak.model_copy(update={"name": "Flood", "agent_id": second.id, "updated_at": later(999)})
        assert await database.write(partial(nouns.replace, noun=changed))
        assert await database.read(partial(nouns.get, cls=Case, id=leak.id)) == changed
        page = await database.read(partial(nouns.page, cls=Case, agent_id=second.id))
        assert page.data == [changed]

    async def test_a_deleted_noun_is_only_found_by_who_asks_for_deleted_ones(
        self, database: Database
    ) -> None:
        gone = persona()
        await stored(database, gone)
        assert await database.write(partial(nouns.soft_delete, cls=Persona, id=gone.id, at=later(500)))
        assert await database.read(partial(nouns.get, cls=Persona, id=gone.id)) is None
        assert (await database.read(partial(nouns.page, cls=Persona))).data == []
        back = await database.read(partial(nouns.get, cls=Persona, id=gone.id, deleted=True))
        assert back is not None
        assert back.deleted_at == later(500)

    async def test_a_noun_is_deleted_once_and_changed_no_more(self, database: Database) -> None:
        gone = suite()
        await stored(database, gone)
        delete = partial(nouns.soft_delete, cls=Suite, id=gone.id, at=later())
        assert [await database.write(delete), await database.write(delete)] == [True, False]
        assert not await database.write(partial(nouns.replace, noun=gone))
        assert not await database.write(partial(nouns.replace, noun=suite()))

    async def test_personas_are_listed_by_name_in_any_case_of_letters(self, database: Database) -> None:
        await stored(database, *(persona(name=name) for name in ("zoe", "Ärger", "adam", "Bea", "ÄRGER 2")))
        page = await database.read(partial(nouns.page, cls=Persona))
        assert [one.name for one in page.data] == ["adam", "Bea", "zoe", "Ärger", "ÄRGER 2"]

    @pytest.mark.parametrize(("cls", "make"), [(Agent, agent), (Suite, suite)])
    async def test_everything_else_is_listed_newest_first(self, database: Database, cls, make) -> None:
        made = [make(name=f"number {n}") for n in range(5)]
        await stored(database, *made)
        page = await database.read(partial(nouns.page, cls=cls, limit=2, offset=1))
        assert page.data == [made[3], made[2]]
        assert (page.total, page.limit, page.offset, page.has_more) == (5, 2, 1, True)

    async def test_cases_are_filtered_by_what_they_refer_to(self, database: Database) -> None:
        agents, personas, smoke = [agent(), agent()], [persona(), persona()], suite()
        cases = [
            case(of, by, suite_id=smoke.id if n else None) for of in agents for n, by in enumerate(personas)
        ]
        await stored(database, *agents, *personas, smoke, *cases)

        async def ids(**filters: str) -> set[str]:
            page = await database.read(partial(nouns.page, cls=Case, **filters))
            assert page.total == len(page.data)
            return {one.id for one in page.data}

        assert await ids() == {one.id for one in cases}
        assert await ids(agent_id=agents[0].id) == {cases[0].id, cases[1].id}
        assert await ids(persona_id=personas[1].id) == {cases[1].id, cases[3].id}
        assert await ids(suite_id=smoke.id, agent_id=agents[1].id) == {cases[3].id}
        assert await ids(suite_id="nothing") == set()

    async def test_the_cases_of_a_suite_come_in_the_order_in_which_they_were_made(
        self, database: Database
    ) -> None:
        receptionist, caller, smoke = agent(), persona(), suite()
        at_once = {"suite_id": smoke.id, "created_at": later(), "updated_at": later()}
        cases = [case(receptionist, caller, name=f"case {n}", **at_once) for n in range(20)]
        await stored(database, receptionist, caller, smoke, *cases)
        await database.write(partial(nouns.soft_delete, cls=Case, id=cases[7].id, at=later()))
        listed = await database.read(partial(nouns.cases_of_suite, suite_id=smoke.id))
        assert listed == cases[:7] + cases[8:]

    async def test_many_nouns_are_fetched_at_once(self, database: Database) -> None:
        some = [agent() for _ in range(300)]
        await stored(database, *some)
        wanted = [one.id for one in some[::3]] + ["missing"]
        found = await database.read(partial(nouns.get_many, cls=Agent, ids=wanted))
        assert found == {one.id: one for one in some[::3]}


class TestReferences:
    async def test_an_exact_id_comes_before_a_name_and_a_name_before_the_beginning_of_an_id(
        self, database: Database
    ) -> None:
        by_id, by_name = agent(id="kitchen", name="A"), agent(id="other-1", name="KITCHEN")
        by_prefix = agent(id="kitchen-2", name="B")
        await stored(database, by_name, by_prefix)

        async def found(reference: str) -> list[tuple[str, str]]:
            return await database.read(partial(nouns.candidates, cls=Agent, reference=reference))

        assert await found("kitchen") == [("other-1", "KITCHEN")]
        await stored(database, by_id)
        assert await found("kitchen") == [("kitchen", "A")]
        assert await found("kitc") == [("kitchen", "A"), ("kitchen-2", "B")]
        assert await found(" kitchen ") == [("other-1", "KITCHEN")]

    async def test_three_characters_are_no_reference_and_wildcards_are_none_either(
        self, database: Database
    ) -> None:
        await stored(database, agent(id="abcd1234", name="A_B"))
        for reference in ("abc", "", "abcd%", "____", "%", "A%B", "AxB", "a*", "\ud800bcd", "abcd1234\0"):
            assert await database.read(partial(nouns.candidates, cls=Agent, reference=reference)) == []

    async def test_names_are_found_in_every_script(self, database: Database) -> None:
        await stored(database, suite(name="ÉCLAIR"), suite(name="דנה"), suite(name="STRASSE"))
        for reference in ("éclair", "דנה", "straße"):
            found = await database.read(partial(nouns.candidates, cls=Suite, reference=reference))
            assert len(found) == 1

    async def test_only_so_many_candidates_are_given_and_none_that_was_deleted(
        self, database: Database
    ) -> None:
        same = [suite(name="Smoke") for _ in range(9)]
        await stored(database, *same)
        await database.write(partial(nouns.soft_delete, cls=Suite, id=same[0].id, at=later()))
        found = await database.read(partial(nouns.candidates, cls=Suite, reference="smoke", limit=6))
        assert [id for id, _ in found] == [one.id for one in same[1:7]]

    async def test_runs_and_suite_runs_are_found_by_the_beginning_of_their_id(
        self, database: Database
    ) -> None:
        await queued(database, new_run("aaaa-1"), new_run("aaaa-2"), new_run("aaaa"), new_run("bbbb"))
        suite_run = await new_suite_run(database)

        async def found(reference: str) -> list[str]:
            return await database.read(partial(runs.candidates, reference=reference))

        assert await found("aaaa-") == ["aaaa-1", "aaaa-2"]
        assert await found("aaaa") == ["aaaa"]
        assert await found("bbb") == []
        assert await database.read(partial(suite_runs.candidates, reference=suite_run[:8])) == [suite_run]


class TestTexts:
    @given(st.text(ANY_CHARACTER))
    def test_any_string_survives_and_every_database_takes_it(self, text: str) -> None:
        kept = escape(text)
        assert unescape(kept) == text
        assert "\0" not in kept
        kept.encode()

    def test_an_ordinary_text_is_not_even_copied(self) -> None:
        for text in ("plain", "דנה 😀", ""):
            assert escape(text) is text
            assert unescape(text) is text

    async def test_hostile_strings_come_back_identical(self, database: Database) -> None:
        hostile = json.loads(shared_path("real/blns.json").read_text("utf-8"))
        hostile += [
            "\0",
            "a\0b",
            "\ud800",
            "\udc00\ud800",
            "\ud83d\ude00",
            "\x010000",
            "\x01",
            "😀\x01\ud800",
        ]
        callers = [
            persona(behavior_traits={text: [text]}).model_copy(update={"name": text}) for text in hostile
        ]
        await stored(database, *callers)
        for caller in callers:
            back = await database.read(partial(nouns.get, cls=Persona, id=caller.id))
            assert back == caller
            found = await database.read(
                partial(nouns.candidates, cls=Persona, reference=caller.name, limit=99)
            )
            assert (caller.id, caller.name) in found
        ids = await queued(database, *(new_run(snapshot={text: text}, error=text) for text in hostile))
        for id, text in zip(ids, hostile, strict=True):
            assert (await support.run(database, id)).error == text
            assert await database.read(partial(runs.snapshot, id=id)) == {text: text}


class TestRuns:
    async def test_a_run_comes_back_as_it_was_given(self, database: Database) -> None:
        new = new_run(agent_overrides={"system_prompt": "Be kind."}, agent_model="offline", max_turns=7)
        (id,) = await queued(database, new)
        assert await support.run(database, id) == new.run
        assert await database.read(partial(runs.snapshot, id=id)) == {"case": "as it was"}
        assert await database.read(partial(runs.get, id="missing")) is None
        assert await database.read(partial(runs.snapshot, id="missing")) is None

    async def test_a_run_may_be_stored_as_over_already(self, database: Database) -> None:
        over = {
            "status": "failed",
            "queue_status": "done",
            "termination_reason": "error",
            "error": "No agent.",
        }
        new = new_run(**over, started_at=later(1), ended_at=later(2), duration_ms=0)
        (id,) = await queued(database, new)
        assert await support.run(database, id) == new.run
        assert await claim(database) == []

    async def test_a_key_starts_one_run_and_a_second_one_stores_nothing(self, database: Database) -> None:
        await queued(database, new_run("first", idempotency_key="key"))
        with pytest.raises(StoreError):
            await queued(database, new_run("second"), new_run("third", idempotency_key="key"))
        started = await database.read(partial(runs.by_idempotency_key, key="key"))
        assert started is not None
        assert started.id == "first"
        assert await database.read(partial(runs.by_idempotency_key, key="other")) is None
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 1

    async def test_runs_are_listed_newest_first_and_filtered(self, database: Database) -> None:
        group = await new_suite_run(database)
        ids = await queued(
            database,
            new_run(created_at=later(1), case_id="a", suite_id="s"),
            new_run(created_at=later(3), case_id="a", suite_run_id=group),
            new_run(created_at=later(2), case_id="b", suite_id="s", suite_run_id=group),
            new_run(created_at=later(3), case_id="b", status="failed", queue_status="done"),
        )

        async def listed(**filters: object) -> list[int]:
            page = await database.read(partial(runs.page, wanted=RunFilter.model_validate(filters)))
            return [ids.index(one.id) for one in page.data]

        assert await listed() == [3, 1, 2, 0]
        assert await listed(case_id="a") == [1, 0]
        assert await listed(suite_id="s") == [2, 0]
        assert await listed(suite_run_id=group) == [1, 2]
        assert await listed(status="failed", case_id="b") == [3]
        assert await listed(limit=2, offset=1) == [1, 2]

    async def test_an_evaluation_comes_back_with_its_evidence(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        result = AssertionResult(
            assertion=Assertion(type="must_call_tool", tool_name="book", args_match={"when": "$present"}),
            passed=False,
            weight=2.5,
            reason="not called",
            evidence=[Evidence(turn_number=3, quote="no \0 tool")],
        )
        evaluation = Evaluation(score=12.5, pass_fail=False, results=[result])
        assert await finish(database, mine, evaluation=evaluation, score=12.5, pass_fail=False)
        back = await support.run(database, "one")
        assert back.evaluation == evaluation
        assert back.model_dump(mode="json")["evaluation"] == evaluation.model_dump(mode="json")

    async def test_cents_are_rounded_up_per_role_and_unknown_where_a_price_is(
        self, database: Database
    ) -> None:
        await queued(database, new_run("priced"), new_run("unpriced"))
        first, second = await claim(database)
        agent_spent, nothing = Spent(10, 5, 10_000_001), Spent()
        await finish(database, first, Totals(3, agent_spent, Spent(1, 1, 1), nothing))
        await finish(
            database,
            second,
            Totals(3, agent_spent, Spent(1, 1, 7, unpriced=True), nothing, {"openai:x", "a"}),
        )
        priced, unpriced = await support.run(database, "priced"), await support.run(database, "unpriced")
        assert (priced.agent_cost_cents, priced.persona_cost_cents, priced.judge_cost_cents) == (2, 1, 0)
        assert (priced.total_cost_cents, priced.cost_usd) == (3, 0.010000002)
        assert (unpriced.agent_cost_cents, unpriced.persona_cost_cents) == (2, None)
        assert (unpriced.total_cost_cents, unpriced.unpriced_models) == (None, ["a", "openai:x"])
        assert (unpriced.cost_usd, unpriced.agent_input_tokens, unpriced.spoken_turns) == (0.010000008, 10, 3)


class TestSuiteRuns:
    async def test_an_aggregate_agrees_with_its_runs(self, database: Database) -> None:
        dice = random.Random(7)
        group = await new_suite_run(database, 16, agent_overrides={"language": "he"})
        await queued(database, *(new_run(suite_run_id=group, position=n) for n in range(40)))
        for _ in range(6):
            for mine in await claim(database, 7):
                await _end_somehow(database, mine, dice)
            await self._check(database, group)

    async def _check(self, database: Database, group: str) -> None:
        both = await database.read(
            lambda connection: (suite_runs.get(connection, group), suite_runs.runs_of(connection, group))
        )
        total, members = both
        assert total is not None
        done = [one for one in members if one.queue_status == "done"]
        completed = [one for one in done if one.status == "completed"]
        costs = [one.total_cost_cents for one in members if one.total_cost_cents is not None]
        assert (total.total_runs, total.in_flight) == (len(members), len(members) - len(done))
        assert total.completed == len(completed)
        assert total.cancelled == sum(one.status == "cancelled" for one in done)
        assert total.errored == sum(one.status == "failed" for one in done)
        assert total.total_runs == total.completed + total.in_flight + total.cancelled + total.errored
        assert total.passed == sum(one.pass_fail is True for one in completed)
        assert total.failed == sum(one.pass_fail is False for one in completed)
        assert total.total_cost_cents == sum(costs)
        assert total.unpriced_runs == len(members) - len(costs)
        assert total.cost_usd == pytest.approx(sum(one.cost_usd for one in members))
        assert total.score_avg == pytest.approx(_mean([one.score or 0 for one in completed]))
        assert total.pass_rate == (total.passed / total.completed if total.completed else None)
        assert total.ended_at is None
        assert total.agent_overrides == {"language": "he"}

    async def test_an_aggregate_ends_when_its_last_run_is_scored(self, database: Database) -> None:
        group = await new_suite_run(database, 2)
        await queued(database, *(new_run(suite_run_id=group) for _ in range(2)))
        first, second = await claim(database, at=5)
        await finish(database, first, ended_at=later(80), score=50, pass_fail=False)
        half = await database.read(partial(suite_runs.get, id=group))
        await finish(database, second, ended_at=later(70), score=100, pass_fail=True)
        whole = await database.read(partial(suite_runs.get, id=group))
        assert half is not None
        assert whole is not None
        assert (half.is_final, half.started_at, half.ended_at, half.score_avg) == (False, later(5), None, 50)
        assert (whole.is_final, whole.ended_at, whole.score_avg, whole.pass_rate) == (
            True,
            later(80),
            75,
            0.5,
        )

    async def test_costs_are_unknown_only_when_those_of_every_run_are(self, database: Database) -> None:
        group = await new_suite_run(database, 2)
        await queued(database, *(new_run(suite_run_id=group) for _ in range(2)))
        first, second = await claim(database)
        await finish(database, first, Totals(agent=Spent(1, 1, 5, unpriced=True), unpriced_models=["x"]))
        half = await database.read(partial(suite_runs.get, id=group))
        await finish(database, second, Totals(agent=Spent(1, 1, 0, unpriced=True), unpriced_models=["x"]))
        none = await database.read(partial(suite_runs.get, id=group))
        assert half is not None
        assert none is not None
        assert (half.total_cost_cents, half.unpriced_runs) == (0, 1)
        assert (none.total_cost_cents, none.unpriced_runs, none.cost_usd) == (None, 2, 5e-9)

    async def test_the_suite_runs_of_a_suite_come_newest_first(self, database: Database) -> None:
        ids = [
            await new_suite_run(database, suite_id="mine", created_at=later(n), idempotency_key=f"key {n}")
            for n in (1, 3, 2)
        ]
        await new_suite_run(database, suite_id="other")
        await queued(database, new_run(suite_run_id=ids[0]))
        listed = await database.read(partial(suite_runs.of_suite, suite_id="mine"))
        assert [one.suite_run_id for one in listed] == [ids[1], ids[2], ids[0]]
        assert [one.total_runs for one in listed] == [0, 0, 1]
        found = await database.read(partial(suite_runs.by_idempotency_key, key="key 2"))
        assert found is not None
        assert found.suite_run_id == ids[2]
        assert await database.read(partial(suite_runs.get, id="missing")) is None

    async def test_the_runs_of_a_suite_run_come_in_the_order_of_its_cases(self, database: Database) -> None:
        group = await new_suite_run(database)
        await queued(database, *(new_run(f"run {n}", suite_run_id=group, position=n) for n in (2, 0, 1)))
        listed: list[Run] = await database.read(partial(suite_runs.runs_of, id=group))
        assert [one.id for one in listed] == ["run 0", "run 1", "run 2"]


class TestUnitsOfWork:
    async def test_a_read_sees_one_state_though_others_commit_meanwhile(self, database: Database) -> None:
        pause = Pause()

        def twice(connection: Connection) -> list[int]:
            first = runs.page(connection, RunFilter()).total
            pause.here()
            return [first, runs.page(connection, RunFilter()).total]

        async with anyio.create_task_group() as tasks, pause:
            reading = Background(tasks, database.read(twice))
            await pause.reached()
            await queued(database, new_run())
        assert reading.value == [0, 0]
        assert (await database.read(partial(runs.page, wanted=RunFilter()))).total == 1

    async def test_a_read_does_not_wait_for_a_write(self, database: Database) -> None:
        pause = Pause()
        async with anyio.create_task_group() as tasks, pause:
            Background(tasks, database.write(lambda _: pause.here()))
            await pause.reached()
            assert await database.read(partial(runs.get, id="missing")) is None

    async def test_a_unit_of_work_that_fails_is_undone_alone(self, database: Database) -> None:
        pause = Pause()
        works = [
            partial(runs.insert, new=[new_run("before")]),
            _insert_and_fail,
            partial(runs.insert, new=[new_run("after")]),
        ]
        async with anyio.create_task_group() as tasks, pause:
            Background(tasks, database.write(lambda _: pause.here()))
            await pause.reached()
            waiting = [Background(tasks, database.write(work)) for work in works]
            await anyio.wait_all_tasks_blocked()
        assert [type(one.error) for one in waiting] == [type(None), LookupError, type(None)]
        page = await database.read(partial(runs.page, wanted=RunFilter()))
        assert {one.id for one in page.data} == {"before", "after"}

    async def test_a_caller_that_goes_away_leaves_its_write_to_happen(self, database: Database) -> None:
        pause = Pause()
        async with anyio.create_task_group() as tasks, pause:
            Background(tasks, database.write(lambda _: pause.here()))
            await pause.reached()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await queued(database, new_run("kept"))
            assert scope.cancelled_caught
        await database.write(lambda _: None)  # stands behind it
        assert (await support.run(database, "kept")).id == "kept"

    async def test_what_a_unit_of_work_raises_comes_out_and_undoes_it(self, database: Database) -> None:
        class Changed(Exception):
            pass

        def work(connection: Connection) -> None:
            runs.insert(connection, [new_run("half")])
            raise Changed

        with pytest.raises(Changed):
            await database.write(work)
        assert await database.read(partial(runs.get, id="half")) is None

    async def test_a_read_cannot_write(self, database: Database) -> None:
        with pytest.raises(StoreError):
            await database.read(lambda connection: runs.insert(connection, [new_run()]))

    async def test_all_who_share_a_database_go_by_one_clock(self, database: Database) -> None:
        told = await database.read(lambda connection: connection.now())
        assert abs(told - now()) < timedelta(seconds=5)
        assert told.utcoffset() == timedelta(0)

    async def test_changes_moves_when_a_run_is_queued(self, database: Database) -> None:
        before = await database.changes()
        await queued(database, new_run())
        with anyio.fail_after(10):
            while await database.changes() == before:
                await anyio.lowlevel.checkpoint()


def _insert_and_fail(connection: Connection) -> None:
    runs.insert(connection, [new_run("undone")])
    raise LookupError


async def _end_somehow(database: Database, mine: support.Claim, dice: random.Random) -> None:
    spent = Spent(1, 1, dice.randrange(10**9), unpriced=dice.random() < 0.2)
    score = dice.uniform(0, 100)
    outcome = dice.choice(
        [
            {"status": "completed", "score": score, "pass_fail": score > 50},
            {"status": "failed", "termination_reason": "error", "score": score, "pass_fail": False},
            {"status": "cancelled", "termination_reason": "cancelled"},
            None,
        ]
    )
    if outcome:
        await finish(database, mine, Totals(agent=spent), **outcome)


def _mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
