"""What every backend promises, over all of them: results, errors and hints are the same wherever the engine is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.embedded import open_embedded
from mcp_agent_eval.engine.flows.check import FlowInvalid
from mcp_agent_eval.errors import (
    AmbiguousReference,
    EvalError,
    ImpossibleAssertion,
    InvalidInput,
    InvalidPattern,
    NotFound,
    RunFinished,
)
from mcp_agent_eval.lab.doubts import left_behind
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Agent, Case, Run, RunFilter, SuiteRun
from tests.behaviour.clinic import BOOK, CALLS_TOOL, PROMPT, READS_BACK, SAYS_BACK
from tests.behaviour.test_flows import FLOW
from tests.legs import LEGS, leg
from tests.provider import Provider, provider
from tests.support import OFFLINE

POSTGRES = "postgres"
AGENT = {"name": "Clinic", "system_prompt": PROMPT, "tools": [BOOK], "greeting_message": "Hello?"}
PERSONA = {
    "name": "Maya",
    "identity_prompt": "You are Maya Cohen.",
    "behavior_traits": {"known_info": ["You can come on Tuesday."], "goal": "Get an appointment."},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)


@pytest.fixture(params=[*LEGS, POSTGRES])
async def backend(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Backend]:
    if request.param != POSTGRES:
        async with leg(request.param, settings) as backend:
            yield backend
        return
    url = request.getfixturevalue("postgres_url")
    async with open_embedded(settings.model_copy(update={"database_url": url})) as backend:
        yield backend


async def make_case(backend: Backend, **fields: Any) -> Case:
    agent = await backend.create("agent", AGENT)
    persona = await backend.create("persona", PERSONA)
    draft = {
        "name": "Books a visit",
        "agent_id": agent.id,
        "persona_id": persona.id,
        "scenario": "You want to book an appointment.",
        "success_criteria": [CALLS_TOOL],
    }
    case = await backend.create("case", draft | fields)
    assert isinstance(case, Case)
    return case


async def finished(backend: Backend, run: Run) -> Run:
    with anyio.fail_after(20):
        while not run.is_final:
            run = await backend.wait_run(run.id, 5)
    return run


async def settled(backend: Backend, aggregate: SuiteRun) -> SuiteRun:
    with anyio.fail_after(30):
        while not aggregate.is_final:
            aggregate = await backend.wait_suite_run(aggregate.suite_run_id, 5)
    return await backend.suite_run(aggregate.suite_run_id)


class TestNouns:
    async def test_a_case_comes_back_with_its_agent_and_persona(self, backend: Backend) -> None:
        case = await make_case(backend)
        again = await backend.get("case", case.id)
        assert again == case
        assert isinstance(again, Case)
        assert again.agent is not None
        assert again.persona is not None
        assert (again.agent.name, again.persona.name) == ("Clinic", "Maya")
        assert again.agent.tools[0].name == "bookAppointment"

    async def test_defaults_are_those_of_the_contract(self, backend: Backend) -> None:
        case = await make_case(backend)
        assert (case.max_turns, case.pass_threshold, case.tool_policy) == (20, 80, "mock")
        agent = await backend.get("agent", case.agent_id)
        assert isinstance(agent, Agent)
        assert (agent.temperature, agent.vad_stop_secs, agent.silence_timeout_secs) == (0.5, 0.5, 60)

    async def test_an_update_replaces_the_given_fields_only(self, backend: Backend) -> None:
        case = await make_case(backend)
        changed = await backend.update("case", case.id, {"max_turns": 5})
        assert isinstance(changed, Case)
        assert (changed.max_turns, changed.name) == (5, case.name)
        assert changed.updated_at > case.updated_at

    async def test_what_is_deleted_is_gone_and_cannot_be_deleted_twice(self, backend: Backend) -> None:
        persona = await backend.create("persona", PERSONA)
        await backend.delete("persona", persona.id)
        for verb in (backend.get("persona", persona.id), backend.delete("persona", persona.id)):
            with pytest.raises(NotFound) as refused:
                await verb
            assert refused.value.hint == 'Call list(kind="persona") to see what there is.'

    async def test_a_name_may_be_long_and_has_an_end(self, backend: Backend) -> None:
        # Folded to one case these letters become three each, of two bytes: the most that there is.
        name = "\u0390\u03b0\u1f52\u1fb7" * 100
        suite = await backend.create("suite", {"name": name})
        assert await backend.find("suite", name.upper()) == suite.id
        longer = {"name": f"{name}x"}
        for draft in (AGENT | longer, PERSONA | longer):
            kind = "agent" if "system_prompt" in draft else "persona"
            with pytest.raises(InvalidInput, match="name: must have at most 400 characters"):
                await backend.create(kind, draft)
        with pytest.raises(InvalidInput, match="name: must have at most 400 characters"):
            await backend.update("suite", suite.id, longer)

    async def test_the_name_of_a_model_has_an_end(self, backend: Backend) -> None:
        case = await make_case(backend)
        too_long = {"model": f"openai:{'é' * 250}"}
        for refused in (
            backend.create("persona", PERSONA | too_long),
            backend.update("agent", case.agent_id, too_long),
            backend.start_run(case.id, agent_overrides=too_long),
        ):
            with pytest.raises(InvalidInput, match="model: must be one line of at most 500 characters"):
                await refused

    async def test_personas_are_listed_by_name_and_the_rest_newest_first(self, backend: Backend) -> None:
        for name in ("Zoe", "adam", "Maya"):
            await backend.create("persona", PERSONA | {"name": name})
            await backend.create("suite", {"name": name})
        personas = await backend.list("persona")
        assert [persona.name for persona in personas.data] == ["adam", "Maya", "Zoe"]
        suites = await backend.list("suite", limit=2)
        assert [suite.name for suite in suites.data] == ["Maya", "adam"]
        assert (suites.total, suites.has_more) == (3, True)
        rest = await backend.list("suite", limit=2, offset=2)
        assert ([suite.name for suite in rest.data], rest.has_more) == (["Zoe"], False)

    async def test_cases_are_filtered_by_what_they_belong_to(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "S"})
        inside, outside = await make_case(backend, suite_id=suite.id), await make_case(backend)
        by_suite = await backend.list("case", suite_id=suite.id)
        assert [case.id for case in by_suite.data] == [inside.id]
        by_agent = await backend.list("case", agent_id=outside.agent_id)
        assert [case.id for case in by_agent.data] == [outside.id]
        nobody = await backend.list("case", persona_id=str(uuid4()))
        assert (nobody.data, nobody.total) == ([], 0)

    async def test_a_key_that_was_used_before_returns_what_it_made(self, backend: Backend) -> None:
        first = await backend.create("suite", {"name": "One"}, idempotency_key="k")
        second = await backend.create("suite", {"name": "Two"}, idempotency_key="k")
        assert (second.id, second.name) == (first.id, "One")
        assert (await backend.list("suite")).total == 1

    async def test_a_shared_tool_stands_on_every_agent_that_it_is_attached_to(self, backend: Backend) -> None:
        tool = await backend.create("tool", BOOK)
        agent = await backend.create("agent", AGENT | {"tools": [], "tool_ids": [tool.id]})
        await backend.update("tool", tool.id, {"description": "Books."})
        agent = await backend.get("agent", agent.id)
        assert isinstance(agent, Agent)
        assert [(one.id, one.name, one.description) for one in agent.tools] == [
            (tool.id, "bookAppointment", "Books.")
        ]
        shown = [one.model_dump() for one in agent.tools]
        agent = await backend.update("agent", agent.id, {"tools": shown})
        assert isinstance(agent, Agent)
        assert [one.id for one in agent.tools] == [tool.id]
        await backend.delete("tool", tool.id)
        agent = await backend.get("agent", agent.id)
        assert isinstance(agent, Agent)
        assert agent.tools == []

    async def test_strange_strings_come_back_as_they_were(self, backend: Backend) -> None:
        for name in ("\u202etfel ot thgir", "💣 and \u0000 nul", "'; DROP TABLE cases; --", "ﬀ İ ß"):
            persona = await backend.create("persona", PERSONA | {"name": name})
            assert (await backend.get("persona", persona.id)).name == name


class TestFlows:
    async def test_a_flow_is_walked_without_a_model(self, backend: Backend) -> None:
        tool = await backend.create("tool", BOOK | {"name": "bookAppointment"})
        nodes = [node | {"tool_id": tool.id} if node["id"] == "book" else node for node in FLOW["nodes"]]
        draft = {"name": "F", "type": "flow", "system_prompt": "p", "flow_config": FLOW | {"nodes": nodes}}
        agent = await backend.create("agent", draft)
        assert isinstance(agent, Agent)
        assert [one.name for one in agent.tools] == ["bookAppointment"]
        says = [{"role": "user", "text": "I want an appointment"}]
        walked = await backend.simulate_flow(agent.id, transcript=says)
        assert walked["ended_at_step_id"] == "done"
        assert walked["named_results"] == {"book": {"success": True}}
        with pytest.raises(InvalidInput, match="mock_tool_results"):
            await backend.simulate_flow(agent.id, transcript=says, mock_tool_results={"ask": {"result": 1}})
        with pytest.raises(NotFound, match="There is no agent"):
            await backend.simulate_flow(str(uuid4()), transcript=says)

    async def test_a_run_shows_the_tools_that_it_had_whatever_its_neighbours_in_a_list_had(
        self, backend: Backend
    ) -> None:
        tool = await backend.create("tool", BOOK | {"name": "bookElsewhere"})
        draft = {"name": "F", "type": "flow", "system_prompt": "p", "tools": [BOOK], "flow_config": FLOW}
        case = await make_case(backend, agent_id=(await backend.create("agent", draft)).id)
        nodes = [node | {"tool_id": tool.id} if node["id"] == "book" else node for node in FLOW["nodes"]]
        changed = {"flow_config": FLOW | {"nodes": nodes}}
        first = await finished(backend, await backend.start_run(case.id, agent_overrides=changed))
        await backend.update("tool", tool.id, {"description": "Books in another way."})
        second = await finished(backend, await backend.start_run(case.id, agent_overrides=changed))
        listed = {run.id: run for run in (await backend.runs(RunFilter())).data}
        for run, description in ((first, BOOK["description"]), (second, "Books in another way.")):
            case_then = listed[run.id].case
            assert case_then is not None
            assert case_then.agent is not None
            assert [one.description for one in case_then.agent.tools if one.id] == [description]

    async def test_everything_that_is_wrong_with_a_flow_is_told(self, backend: Backend) -> None:
        draft = {"name": "F", "type": "flow", "system_prompt": "p", "flow_config": {"nodes": []}}
        with pytest.raises(FlowInvalid) as refused:
            await backend.create("agent", draft)
        assert {issue["code"] for issue in refused.value.issues} >= {"no_start", "no_terminal"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "error", "says"),
        [
            ({"max_turns": 101}, InvalidInput, "max_turns"),
            ({"max_turns": True}, InvalidInput, "max_turns"),
            ({"pass_threshold": "80"}, InvalidInput, "pass_threshold"),
            ({"name": " "}, InvalidInput, "name"),
            ({"nmae": "x"}, InvalidInput, "'?nmae'?: there is no such field"),
            ({"success_criteria": [{"type": "must_say", "pattern": "("}]}, InvalidPattern, "pattern"),
            ({"success_criteria": [{"type": "must_say"}]}, InvalidInput, "pattern"),
            (
                {"success_criteria": [{"type": "must_call_tool", "tool_name": "nope"}]},
                ImpossibleAssertion,
                "bookAppointment",
            ),
            (
                {"agent_overrides": {"prompt": 1}},
                InvalidInput,
                r"agent_overrides has no field 'prompt'\. Its fields are: system_prompt, .*, and \d+ more\.",
            ),
            ({"agent_overrides": {"model": "gpt-5"}}, InvalidInput, "'gpt-5' is not a model"),
            ({"agent_overrides": {"variables": {"\ud800": "x"}}}, InvalidInput, "surrogate"),
            ({"suite_id": "b7a7fb0a-5d8c-4d6e-9d2d-6d8e8f1e2a11"}, NotFound, "suite"),
        ],
    )
    async def test_a_case_that_cannot_work_is_refused(
        self, backend: Backend, fields: dict[str, Any], error: type[EvalError], says: str
    ) -> None:
        with pytest.raises(EvalError, match=says) as refused:
            await make_case(backend, **fields)
        assert type(refused.value) is error

    async def test_what_is_not_there_is_not_found_by_any_verb(self, backend: Backend) -> None:
        id = str(uuid4())
        for verb in (
            backend.run(id),
            backend.turns(id),
            backend.calls(id),
            backend.cancel(id),
            backend.wait_run(id, 1),
            backend.find("run", id),
        ):
            with pytest.raises(NotFound, match="There is no run") as refused:
                await verb
            assert refused.value.hint == "Call list_runs to see the newest."
        for verb in (backend.suite_run(id), backend.wait_suite_run(id, 1), backend.find("suite_run", id)):
            with pytest.raises(NotFound, match="There is no suite run"):
                await verb
        for verb in (backend.start_run(id), backend.find("case", id)):
            with pytest.raises(NotFound, match="There is no case"):
                await verb
        for verb in (backend.start_suite_run(id), backend.suite_runs(id)):
            with pytest.raises(NotFound, match="There is no suite"):
                await verb

    async def test_a_suite_without_cases_is_not_run(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "Empty"})
        with pytest.raises(InvalidInput, match="no cases") as refused:
            await backend.start_suite_run(suite.id)
        assert "create_case" in (refused.value.hint or "")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("claude-sonnet-4", "anthropic:claude-sonnet-4"),
            ("gpt-5.4-mini", "openai:gpt-5.4-mini"),
            ("openai/gpt-4o", "openai:gpt-4o"),
            ("gemini:flash", "pydantic-ai:gemini:flash"),
        ],
    )
    async def test_a_model_that_could_never_be_asked_is_refused_when_it_is_written(
        self, backend: Backend, name: str, meant: str
    ) -> None:
        for kind, draft in (("agent", AGENT), ("persona", PERSONA)):
            with pytest.raises(
                InvalidInput, match=r"is not a model\. Write openai:NAME, anthropic:NAME"
            ) as refused:
                await backend.create(kind, draft | {"model": name})  # type: ignore[arg-type]
            assert refused.value.hint == f"Did you mean {meant}?"
            made = await backend.create(kind, draft | {"model": meant})  # type: ignore[arg-type]
            assert made.model == meant  # type: ignore[union-attr]

    async def test_the_offline_model_is_known_in_upper_and_lower_case(self, backend: Backend) -> None:
        persona = await backend.create("persona", PERSONA | {"model": "Offline"})
        run = await backend.start_run(
            (await make_case(backend, persona_id=persona.id)).id, agent_overrides={"model": " OFFLINE"}
        )
        assert (run.agent_model, run.persona_model) == ("offline", "offline")

    async def test_a_filter_of_cases_is_refused_for_other_lists_with_the_right_call(
        self, backend: Backend
    ) -> None:
        id = str(uuid4())
        with pytest.raises(InvalidInput, match="suite_id only filters cases") as refused:
            await backend.list("agent", suite_id=id)
        assert refused.value.hint == f'list(kind="case", suite_id="{id}")'

    async def test_a_case_whose_agent_was_deleted_is_named_with_the_way_out(self, backend: Backend) -> None:
        case = await make_case(backend)
        await backend.delete("agent", case.agent_id)
        for verb in (backend.start_run(case.id), backend.update("case", case.id, {"max_turns": 4})):
            with pytest.raises(
                NotFound, match="The agent of the case 'Books a visit' was deleted"
            ) as refused:
                await verb
            assert "create_case" in (refused.value.hint or "")

    async def test_what_is_deleted_leaves_a_word_about_its_cases(self, backend: Backend) -> None:
        case = await make_case(backend)
        for kind, id in (("agent", case.agent_id), ("persona", case.persona_id)):
            await backend.delete(kind, id)  # type: ignore[arg-type]
            assert (await left_behind(backend, kind, id) or "").startswith(f"1 case has this {kind}: ")  # type: ignore[arg-type]
        assert await left_behind(backend, "agent", str(uuid4())) is None
        assert await left_behind(backend, "case", case.id) is None

    async def test_an_inactive_agent_is_not_run(self, backend: Backend) -> None:
        case = await make_case(backend)
        await backend.update("agent", case.agent_id, {"is_active": False})
        with pytest.raises(InvalidInput, match="not active"):
            await backend.start_run(case.id)


class TestReferences:
    async def test_a_name_a_prefix_and_an_id_mean_the_same(self, backend: Backend) -> None:
        case = await make_case(backend)
        for reference in (case.id, case.id.upper(), case.id[:8], "books A visit "):
            assert await backend.find("case", reference) == case.id

    async def test_two_of_a_name_are_ambiguous_and_both_are_named(self, backend: Backend) -> None:
        first = await backend.create("suite", {"name": "Twin"})
        second = await backend.create("suite", {"name": "twin"})
        with pytest.raises(AmbiguousReference) as refused:
            await backend.find("suite", "Twin")
        assert first.id in refused.value.message
        assert second.id in refused.value.message

    async def test_what_fits_nothing_is_not_found(self, backend: Backend) -> None:
        with pytest.raises(NotFound, match="There is no agent 'Nobody'"):
            await backend.find("agent", "Nobody")

    async def test_the_beginning_of_an_id_that_is_too_short_is_said_to_be(self, backend: Backend) -> None:
        for kind, look in (("run", "list_runs"), ("suite_run", "list_runs"), ("case", 'list(kind="case")')):
            with pytest.raises(NotFound) as refused:
                await backend.find(kind, "abc")  # type: ignore[arg-type]
            assert "at least 4 characters" in (refused.value.hint or "")
            assert look in (refused.value.hint or "")

    async def test_long_names_leave_room_for_every_id(self, backend: Backend) -> None:
        name = "Twin " * 75
        ids = [(await backend.create("suite", {"name": name})).id for _ in range(2)]
        with pytest.raises(AmbiguousReference) as refused:
            await backend.find("suite", name)
        assert all(id in refused.value.message for id in ids)
        assert len(refused.value.message) < 500

    async def test_runs_and_suite_runs_are_found_by_the_beginning_of_their_ids(
        self, backend: Backend
    ) -> None:
        suite = await backend.create("suite", {"name": "S"})
        await make_case(backend, suite_id=suite.id)
        aggregate = await settled(backend, await backend.start_suite_run(suite.id))
        run = aggregate.runs[0]
        assert await backend.find("run", f" {run.id[:8]}\n") == run.id
        assert await backend.find("suite_run", aggregate.suite_run_id[:8]) == aggregate.suite_run_id


class TestRuns:
    async def test_a_run_is_started_waited_for_and_read(self, backend: Backend) -> None:
        case = await make_case(backend)
        started = await backend.start_run(case.id)
        assert not started.is_final
        run = await finished(backend, started)
        assert (run.status, run.queue_status, run.pass_fail, run.score) == ("completed", "done", True, 100)
        assert run.case is not None
        assert run.case.agent is not None
        assert run.evaluation is not None
        assert run.evaluation.results is not None
        assert run.evaluation.results[0].passed
        assert await backend.run(run.id) == run

    async def test_its_transcript_is_read_whole_and_in_parts(self, backend: Backend) -> None:
        case = await make_case(backend)
        run = await finished(backend, await backend.start_run(case.id))
        turns = await backend.turns(run.id)
        assert [turn.turn_number for turn in turns] == list(range(len(turns)))
        assert (turns[0].role, turns[0].text) == ("agent", "Hello?")
        used = [use for turn in turns for use in turn.tool_calls or []]
        assert [(use.name, use.mocked) for use in used] == [
            ("bookAppointment", None),
            ("bookAppointment", True),
        ]
        assert await backend.turns(run.id, start=2, limit=3) == turns[2:5]

    async def test_its_model_calls_are_read_in_order(self, backend: Backend) -> None:
        case = await make_case(backend)
        run = await finished(backend, await backend.start_run(case.id))
        calls = await backend.calls(run.id, limit=3)
        assert [call.seq for call in calls] == [0, 1, 2]
        assert calls[0].request
        assert [call.seq for call in await backend.calls(run.id, start=1, limit=1)] == [1]

    async def test_overrides_change_the_outcome_and_are_kept(self, backend: Backend) -> None:
        case = await make_case(backend, success_criteria=[SAYS_BACK])
        plain = await finished(backend, await backend.start_run(case.id))
        changed = {"system_prompt": READS_BACK}
        run = await finished(backend, await backend.start_run(case.id, agent_overrides=changed))
        assert (plain.pass_fail, run.pass_fail) == (False, True)
        assert (plain.agent_overrides, run.agent_overrides) == ({}, changed)

    async def test_a_key_makes_a_repeated_start_the_same_run(self, backend: Backend) -> None:
        case, other = await make_case(backend), await make_case(backend)
        first = await backend.start_run(case.id, idempotency_key="k")
        assert (await backend.start_run(case.id, idempotency_key="k")).id == first.id
        with pytest.raises(InvalidInput, match="another case") as refused:
            await backend.start_run(other.id, idempotency_key="k")
        assert refused.value.hint == "Use a new key for a new run."

    async def test_a_key_does_not_stand_for_other_overrides(self, backend: Backend) -> None:
        case = await make_case(backend, agent_overrides={"temperature": 0.1})
        changed = {"system_prompt": READS_BACK}
        first = await backend.start_run(case.id, agent_overrides=changed, idempotency_key="k")
        again = await backend.start_run(case.id, agent_overrides=changed, idempotency_key="k")
        assert again.id == first.id
        for other in (None, {"system_prompt": "Be brief."}):
            with pytest.raises(InvalidInput, match="other agent_overrides"):
                await backend.start_run(case.id, agent_overrides=other, idempotency_key="k")

    async def test_runs_are_listed_newest_first_with_filters(self, backend: Backend) -> None:
        case, other = await make_case(backend), await make_case(backend)
        runs = [await finished(backend, await backend.start_run(one.id)) for one in (case, other, case)]
        page = await backend.runs(RunFilter(limit=2))
        assert [run.id for run in page.data] == [runs[2].id, runs[1].id]
        assert (page.total, page.has_more) == (3, True)
        assert all(run.case and run.case.agent for run in page.data)
        mine = await backend.runs(RunFilter(case_id=case.id, status="completed"))
        assert [run.id for run in mine.data] == [runs[2].id, runs[0].id]
        assert (await backend.runs(RunFilter(status="failed"))).data == []

    async def test_waiting_for_no_time_shows_the_run_as_it_is(self, backend: Backend) -> None:
        case = await make_case(backend)
        run = await finished(backend, await backend.start_run(case.id))
        with anyio.fail_after(5):
            assert (await backend.wait_run(run.id, 0)).is_final


class TestSuiteRuns:
    async def test_a_suite_is_run_and_added_up(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "S", "parallelism": 2})
        good = await make_case(backend, suite_id=suite.id)
        bad = await make_case(backend, suite_id=suite.id, success_criteria=[SAYS_BACK])
        started = await backend.start_suite_run(suite.id)
        assert (started.total_runs, started.runs) == (2, [])
        aggregate = await settled(backend, started)
        assert (aggregate.completed, aggregate.passed, aggregate.failed, aggregate.errored) == (2, 1, 1, 0)
        assert (aggregate.pass_rate, aggregate.score_avg, aggregate.in_flight) == (0.5, 50, 0)
        assert aggregate.ended_at is not None
        assert [run.case_id for run in aggregate.runs] == [good.id, bad.id]
        assert [run.id for run in aggregate.runs] == started.run_ids
        assert all(run.case and run.case.persona for run in aggregate.runs)
        listed = await backend.suite_runs(suite.id)
        assert listed == [aggregate.model_copy(update={"runs": []})]

    async def test_the_newest_suite_run_is_listed_first(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "S"})
        await make_case(backend, suite_id=suite.id)
        first = await settled(backend, await backend.start_suite_run(suite.id))
        second = await settled(backend, await backend.start_suite_run(suite.id))
        ids = [aggregate.suite_run_id for aggregate in await backend.suite_runs(suite.id)]
        assert ids == [second.suite_run_id, first.suite_run_id]

    async def test_a_key_makes_a_repeated_start_the_same_suite_run(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "S"})
        other = await backend.create("suite", {"name": "T"})
        await make_case(backend, suite_id=suite.id)
        first = await backend.start_suite_run(suite.id, idempotency_key="k")
        again = await backend.start_suite_run(suite.id, idempotency_key="k")
        assert (again.suite_run_id, again.run_ids) == (first.suite_run_id, first.run_ids)
        with pytest.raises(InvalidInput, match="another suite"):
            await backend.start_suite_run(other.id, idempotency_key="k")
        with pytest.raises(InvalidInput, match="other agent_overrides"):
            await backend.start_suite_run(suite.id, agent_overrides={"temperature": 0}, idempotency_key="k")

    async def test_a_case_whose_agent_is_not_active_fails_alone_and_bad_overrides_are_refused(
        self, backend: Backend
    ) -> None:
        suite = await backend.create("suite", {"name": "S"})
        lost, _ = await make_case(backend, suite_id=suite.id), await make_case(backend, suite_id=suite.id)
        await backend.update("agent", lost.agent_id, {"is_active": False})
        with pytest.raises(InvalidInput, match="colour"):
            await backend.start_suite_run(suite.id, agent_overrides={"colour": "red"})
        aggregate = await settled(backend, await backend.start_suite_run(suite.id))
        assert (aggregate.errored, aggregate.completed) == (1, 1)
        assert "is not active" in str(aggregate.runs[0].error)

    async def test_a_case_whose_agent_is_gone_fails_alone(self, backend: Backend) -> None:
        suite = await backend.create("suite", {"name": "S"})
        lost, kept = await make_case(backend, suite_id=suite.id), await make_case(backend, suite_id=suite.id)
        await backend.delete("agent", lost.agent_id)
        aggregate = await settled(backend, await backend.start_suite_run(suite.id))
        assert (aggregate.errored, aggregate.completed, aggregate.total_runs) == (1, 1, 2)
        assert [(run.case_id, run.status) for run in aggregate.runs] == [
            (lost.id, "failed"),
            (kept.id, "completed"),
        ]


class TestHeldRuns:
    """Runs of a model that does not answer until it is told to."""

    @pytest.fixture
    async def held(self) -> AsyncIterator[Provider]:
        async with provider(lambda _: "Goodbye.", open_gate=False) as model:
            yield model

    @pytest.fixture
    def settings(self, settings: Settings, held: Provider) -> Settings:
        return settings.model_copy(
            update={"agent_model": "openai:held", "model_base_url": held.url, "max_concurrency": 1}
        )

    async def test_a_wait_ends_after_its_seconds_and_the_run_goes_on(
        self, backend: Backend, held: Provider
    ) -> None:
        case = await make_case(backend)
        run = await backend.start_run(case.id)
        with anyio.fail_after(10):
            while (await backend.wait_run(run.id, 0.1)).status == "queued":
                pass
            assert not (await backend.wait_run(run.id, 0.2)).is_final
        held.gate.set()
        assert (await finished(backend, run)).status == "completed"

    async def test_a_cancel_stops_a_waiting_run_at_once_and_only_once(self, backend: Backend) -> None:
        case = await make_case(backend)
        await backend.start_run(case.id)
        waiting = await backend.start_run(case.id)
        cancelled = await backend.cancel(waiting.id)
        assert (cancelled.status, cancelled.termination_reason) == ("cancelled", "cancelled")
        assert cancelled.is_final
        assert (cancelled.score, cancelled.evaluation) == (None, None)
        with pytest.raises(RunFinished, match='in status "cancelled"') as refused:
            await backend.cancel(waiting.id)
        assert refused.value.hint == f'get_run(run_id="{waiting.id}") shows its outcome.'

    async def test_a_waiter_hears_of_a_cancel(self, backend: Backend, held: Provider) -> None:
        case = await make_case(backend)
        await backend.start_run(case.id)
        waiting = await backend.start_run(case.id)
        seen: list[Run] = []

        async def wait() -> None:
            seen.append(await finished(backend, waiting))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await backend.wait_run(waiting.id, 0.1)
            await backend.cancel(waiting.id)
        assert seen[0].status == "cancelled"

    async def test_those_who_listen_hear_of_runs_that_are_waited_for(
        self, backend: Backend, held: Provider
    ) -> None:
        case = await make_case(backend)
        async with backend.moved_runs() as moved:
            run = await backend.start_run(case.id)
            held.gate.set()
            await finished(backend, run)
            with anyio.fail_after(5):
                async for id in moved:
                    assert id == run.id
                    break


async def test_a_backend_says_what_it_can_do(backend: Backend) -> None:
    capabilities = await backend.capabilities()
    assert capabilities.judges
    assert capabilities.creates_agents
    assert capabilities.shows_model_calls
    assert capabilities.keeps_idempotency_keys
    assert capabilities.address
