"""The hosted backend against what the vendor's API is known to do differently from one edition to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest
from mcp import Client

from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import Connection
from mcp_agent_eval.backend.embedded import open_embedded
from mcp_agent_eval.backend.hosted.backend import open_hosted
from mcp_agent_eval.backend.hosted.failures import failure
from mcp_agent_eval.backend.hosted.judging import LocalJudge
from mcp_agent_eval.errors import (
    ApiError,
    EvalError,
    InvalidInput,
    InvalidKey,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    RunFinished,
)
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Assertion, AssertionResult, Evaluation, Run, RunFilter, Turn
from tests.behaviour.clinic import CALLS_TOOL, READS_BACK, SAYS_BACK
from tests.contract.test_backend import AGENT, PERSONA, finished, make_case, settled
from tests.provider import provider
from tests.support import OFFLINE, call
from tests.vendor import Vendor

JUDGED = {"type": "custom_llm_judge", "rubric": "The agent books an appointment."}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)


@asynccontextmanager
async def vendor(settings: Settings, **ways: Any) -> AsyncIterator[tuple[Backend, Vendor]]:
    """The hosted backend in front of an API with these ways."""
    async with open_embedded(settings) as engine:
        transport = Vendor(build_api(engine), **ways)
        theirs = settings.model_copy(update={"api_url": "http://localhost"})
        async with open_hosted(theirs, transport=transport, first_look=0.02) as backend:
            yield backend, transport


async def make_vendors_case(backend: Backend, **fields: Any) -> str:
    return (await make_case(backend, **fields)).id


def nth(number: int, method: str, ending: str) -> Callable[[httpx2.Request], bool]:
    """True for the request of that number among those with this method and end of address."""
    seen: list[httpx2.Request] = []

    def is_it(request: httpx2.Request) -> bool:
        if request.method == method and request.url.path.endswith(ending):
            seen.append(request)
            return len(seen) == number
        return False

    return is_it


async def test_rows_without_their_case_are_expanded(settings: Settings) -> None:
    async with vendor(settings, flat=True) as (backend, transport):
        case_id = await make_vendors_case(backend)
        run = await finished(backend, await backend.start_run(case_id))
        assert run.case is not None
        assert run.case.agent is not None
        page = await backend.runs(RunFilter())
        assert [row.case.name for row in page.data if row.case] == ["Books a visit"]
        assert transport.count("GET", f"/cases/{case_id}") == 1


async def test_a_start_that_blocks_gives_its_handle_while_it_is_open(settings: Settings) -> None:
    async with provider(lambda _: "Goodbye.", open_gate=False) as model:
        held = settings.model_copy(update={"agent_model": "openai:held", "model_base_url": model.url})
        async with vendor(held) as (backend, transport):
            case_id = await make_vendors_case(backend)
            with anyio.fail_after(10):
                run = await backend.start_run(case_id, agent_overrides={"greeting_message": "Hi."})
            assert not run.is_final
            assert run.agent_overrides == {"greeting_message": "Hi."}
            model.gate.set()
            assert (await finished(backend, run)).status == "completed"
            assert transport.count("POST", "/run") == 1


async def test_two_starts_at_once_give_two_handles(settings: Settings) -> None:
    async with provider(lambda _: "Goodbye.", open_gate=False) as model:
        held = settings.model_copy(update={"agent_model": "openai:held", "model_base_url": model.url})
        async with vendor(held) as (backend, _):
            case_id = await make_vendors_case(backend)
            found: list[str] = []

            async def start() -> None:
                found.append((await backend.start_run(case_id)).id)

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(start)
                    tasks.start_soon(start)
            assert len(set(found)) == 2
            model.gate.set()


async def test_a_start_whose_answer_is_lost_is_found_and_never_repeated(settings: Settings) -> None:
    async with vendor(settings, lose=nth(1, "POST", "/run")) as (backend, transport):
        case_id = await make_vendors_case(backend)
        run = await finished(backend, await backend.start_run(case_id))
        assert run.status == "completed"
        assert transport.count("POST", "/run") == 1
        assert (await backend.runs(RunFilter())).total == 1


async def test_a_suite_start_whose_answer_is_lost_is_found_and_never_repeated(settings: Settings) -> None:
    async with vendor(settings, lose=nth(1, "POST", "/run")) as (backend, transport):
        suite = await backend.create("suite", {"name": "S"})
        await make_vendors_case(backend, suite_id=suite.id)
        aggregate = await settled(backend, await backend.start_suite_run(suite.id))
        assert (aggregate.total_runs, aggregate.passed) == (1, 1)
        assert transport.count("POST", "/run") == 1


async def test_a_suite_start_that_never_arrived_is_said_to_be_open(settings: Settings) -> None:
    async with vendor(settings, drop=nth(1, "POST", "/run")) as (backend, transport):
        suite = await backend.create("suite", {"name": "S"})
        await make_vendors_case(backend, suite_id=suite.id)
        with pytest.raises(OutcomeUnknown) as refused:
            await backend.start_suite_run(suite.id)
        assert "Check with list" in (refused.value.hint or "")
        assert transport.count("POST", "/run") == 1


async def test_a_suite_that_was_started_keeps_its_id_when_it_cannot_be_looked_at(settings: Settings) -> None:
    async with vendor(settings, garble=nth(2, "GET", "/runs")) as (backend, transport):
        suite = await backend.create("suite", {"name": "S"})
        await make_vendors_case(backend, suite_id=suite.id)
        started = await backend.start_suite_run(suite.id, agent_overrides={"greeting_message": "Hi."})
        assert (started.total_runs, started.in_flight, len(started.run_ids)) == (1, 1, 1)
        assert started.agent_overrides == {"greeting_message": "Hi."}
        assert (await settled(backend, started)).suite_run_id == started.suite_run_id
        assert transport.count("POST", "/run") == 1


async def test_a_list_of_runs_is_worth_more_than_the_cases_in_it(settings: Settings) -> None:
    async with vendor(settings, flat=True) as (backend, transport):
        case_id = await make_vendors_case(backend)
        run = await finished(backend, await backend.start_run(case_id))
    async with vendor(settings, flat=True) as (backend, transport):
        transport.garble = nth(1, "GET", f"/cases/{case_id}")
        assert [(row.id, row.case) for row in (await backend.runs(RunFilter())).data] == [(run.id, None)]
        again = (await backend.runs(RunFilter())).data[0].case
        assert again is not None
        assert again.id == case_id


async def test_a_run_shows_its_case_as_it_was_and_a_later_run_the_changed_one(settings: Settings) -> None:
    async with vendor(settings, flat=True) as (backend, _):
        case_id = await make_vendors_case(backend)
        first = await finished(backend, await backend.start_run(case_id))
        await backend.update("case", case_id, {"name": "Books a visit, changed"})
        second = await finished(backend, await backend.start_run(case_id))
        names = {run.id: run.case.name for run in (await backend.runs(RunFilter())).data if run.case}
        assert names == {first.id: "Books a visit", second.id: "Books a visit, changed"}


async def test_a_start_that_is_refused_says_why(settings: Settings) -> None:
    async with vendor(settings) as (backend, _):
        with pytest.raises(NotFound):
            await backend.start_run(str(uuid4()))
        case_id = await make_vendors_case(backend)
        with pytest.raises(InvalidInput, match="agent_overrides"):
            await backend.start_run(case_id, agent_overrides={"nope": 1})


@pytest.mark.parametrize("late", [400, 409])
async def test_a_late_cancel_is_refused_alike_whatever_its_status(settings: Settings, late: int) -> None:
    async with vendor(settings, late=late) as (backend, _):
        run = await finished(backend, await backend.start_run(await make_vendors_case(backend)))
        with pytest.raises(RunFinished, match='in status "completed"') as refused:
            await backend.cancel(run.id)
        assert refused.value.hint == f'get_run(run_id="{run.id}") shows its outcome.'


async def test_errors_without_a_code_are_told_by_their_status(settings: Settings) -> None:
    async with vendor(settings) as (backend, _):
        with pytest.raises(InvalidInput, match="max_turns"):
            await make_case(backend, max_turns=0)
        with pytest.raises(NotFound) as refused:
            await backend.get("case", str(uuid4()))
        assert refused.value.hint == 'Call list(kind="case") to see what there is.'


async def test_a_key_that_is_used_twice_starts_one_run_as_far_as_this_process_knows(
    settings: Settings,
) -> None:
    async with vendor(settings) as (backend, transport):
        case_id, other = await make_vendors_case(backend), await make_vendors_case(backend)
        first = await backend.start_run(case_id, idempotency_key="k")
        assert (await backend.start_run(case_id, idempotency_key="k")).id == first.id
        with pytest.raises(InvalidInput, match="another case"):
            await backend.start_run(other, idempotency_key="k")
        assert transport.count("POST", "/run") == 1
        assert not (await backend.capabilities()).keeps_idempotency_keys


async def test_what_the_vendor_lacks_is_refused_with_a_reason(settings: Settings) -> None:
    async with vendor(settings, agents_are_gone=True) as (backend, transport):
        with pytest.raises(NotSupported) as refused:
            await backend.create("agent", AGENT)
        assert "dashboard" in (refused.value.hint or "")
        with pytest.raises(NotSupported, match="model"):
            await backend.create("persona", PERSONA | {"model": "openai:x"})
        with pytest.raises(NotSupported, match="what its models were sent"):
            await backend.calls(str(uuid4()))
        assert transport.count("POST", "/personas") == 0


async def test_a_stub_judge_is_shown_and_never_taken_for_a_verdict(settings: Settings) -> None:
    unjudged = settings.model_copy(update={"judge_model": None})
    async with open_embedded(settings) as engine:
        transport = Vendor(build_api(engine))
        theirs = unjudged.model_copy(update={"api_url": "http://localhost"})
        async with open_hosted(theirs, transport=transport, first_look=0.02) as backend:
            case_id = await make_vendors_case(backend, success_criteria=[CALLS_TOOL, JUDGED])
            link = Connection(backend, theirs)
            async with Client(build_server(lambda: _open(link))) as client:
                shown = await call(client, "run_case", case_id=case_id)
                assert (shown["score"], shown["pass_fail"]) == (50, False)
                assert "stub" in shown["judge"]
                made = await call(
                    client, "update", kind="case", id=case_id, changes={"success_criteria": [JUDGED]}
                )
                assert "AGENT_EVAL_JUDGE_MODEL" in made["warnings"][0]


async def test_a_stub_verdict_is_judged_here_and_both_are_kept(settings: Settings) -> None:
    async with vendor(settings) as (backend, transport):
        case_id = await make_vendors_case(backend, success_criteria=[CALLS_TOOL, JUDGED])
        run = await finished(backend, await backend.start_run(case_id))
        assert (run.score, run.pass_fail) == (50, False)
        assert run.evaluation is not None
        assert run.evaluation.results is not None
        assert run.evaluation.results[1].reason == "not_implemented"
        assert run.local_evaluation is not None
        assert run.local_evaluation.results is not None
        assert (run.local_evaluation.score, run.local_evaluation.pass_fail) == (100, True)
        assert [result.judged_by for result in run.local_evaluation.results] == [None, "offline"]
        before = transport.count("GET", "/turns")
        assert (await backend.run(run.id)).local_evaluation == run.local_evaluation
        assert transport.count("GET", "/turns") == before
        async with Client(build_server(lambda: _open(Connection(backend, settings)))) as client:
            shown = await call(client, "get_run", run_id=run.id)
        assert (shown["score"], shown["score_judged_here"], shown["pass_fail_judged_here"]) == (50, 100, True)


async def test_a_run_is_shown_with_the_reason_when_our_judge_has_no_key(settings: Settings) -> None:
    keyless = settings.model_copy(update={"judge_model": "openai:some-judge"})
    async with open_embedded(settings) as engine:
        theirs = keyless.model_copy(update={"api_url": "http://localhost"})
        async with open_hosted(theirs, transport=Vendor(build_api(engine)), first_look=0.02) as backend:
            case_id = await make_vendors_case(backend, success_criteria=[CALLS_TOOL, JUDGED])
            run = await finished(backend, await backend.start_run(case_id))
            assert (run.score, run.pass_fail) == (50, False)
            async with Client(build_server(lambda: _open(Connection(backend, theirs)))) as client:
                shown = await call(client, "get_run", run_id=run.id)
            assert shown["score"] == 50
            assert "OPENAI_API_KEY" in shown["failed_assertions"][0]["untrusted_judge_reason"]


async def test_a_judge_that_takes_long_holds_up_no_other_run(settings: Settings) -> None:
    gates = {"slow": anyio.Event(), "fast": anyio.Event()}
    gates["fast"].set()
    judging = settings.model_copy(update={"judge_model": "offline"})
    judge, judged = LocalJudge(judging), list[str]()

    async def ask(name: str) -> None:
        async def turns() -> list[Turn]:
            await gates[name].wait()
            return []

        await judge.judged(open_run(name), turns)
        judged.append(name)
        gates["slow"].set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "slow")
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(ask, "fast")
    assert judged == ["fast", "slow"]
    await judge.aclose()


def open_run(id: str) -> Run:
    """A run that is over, with one verdict that a stub left open."""
    left_open = AssertionResult(
        assertion=Assertion.model_validate(JUDGED), passed=False, weight=1, reason="not_implemented"
    )
    return Run(
        id=id,
        case_id=None,
        agent_id=None,
        persona_id=None,
        status="completed",
        queue_status="done",
        evaluation=Evaluation(score=0, pass_fail=False, results=[left_open]),
    )


def every_error(root: type[EvalError]) -> list[type[EvalError]]:
    return [root, *(one for child in root.__subclasses__() for one in every_error(child))]


def test_an_error_of_any_of_our_codes_can_be_read() -> None:
    for known in every_error(EvalError):
        told = failure(httpx2.Response(known.status, json={"error": "No.", "code": known.code}))
        assert told.message == "No." or told.code == "FLOW_INVALID"
    spent = {"error": "No.", "code": "BUDGET_EXCEEDED", "hint": "Raise it."}
    told = failure(httpx2.Response(402, json=spent))
    assert told.as_dict() == spent


async def test_runs_that_are_waited_for_together_share_one_look(settings: Settings) -> None:
    async with provider(lambda _: "Goodbye.", open_gate=False) as model:
        held = settings.model_copy(update={"agent_model": "openai:held", "model_base_url": model.url})
        async with vendor(held) as (backend, transport):
            case_id = await make_vendors_case(backend)
            runs = [await backend.start_run(case_id) for _ in range(5)]
            transport.requests.clear()
            async with anyio.create_task_group() as tasks:
                for run in runs:
                    tasks.start_soon(backend.wait_run, run.id, 1.0)
            looks = len(transport.requests)
            alone = transport.count("GET", runs[0].id)
            assert alone <= 2
            assert transport.count("GET", "/runs") >= looks / 2
            model.gate.set()


async def test_a_creation_whose_answer_is_lost_is_not_repeated(settings: Settings) -> None:
    async with vendor(settings, lose=nth(1, "POST", "/personas")) as (backend, transport):
        with pytest.raises(OutcomeUnknown):
            await backend.create("persona", PERSONA)
        assert transport.count("POST", "/personas") == 1
    async with vendor(settings, lose=nth(1, "POST", "/agents")) as (backend, transport):
        agent = await backend.create("agent", AGENT)
        assert transport.count("POST", "/agents") == 2
        assert [one.id for one in (await backend.list("agent")).data] == [agent.id]


async def test_reads_changes_and_deletions_are_repeated(settings: Settings) -> None:
    async with vendor(settings) as (backend, transport):
        persona = await backend.create("persona", PERSONA)
        transport.lose = nth(1, "GET", persona.id)
        assert await backend.get("persona", persona.id) == persona
        transport.lose = nth(1, "PATCH", persona.id)
        assert (await backend.update("persona", persona.id, {"name": "Noa"})).name == "Noa"
        transport.lose = nth(1, "DELETE", persona.id)
        await backend.delete("persona", persona.id)
        assert (await backend.list("persona")).total == 0


async def test_an_api_that_cannot_be_reached_is_said_to_be(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"api_url": "http://127.0.0.1:1"})
    async with open_hosted(nowhere) as backend:
        with pytest.raises(ApiError, match=r"127\.0\.0\.1:1 could not be reached") as refused:
            await backend.list("case")
        assert "AGENT_EVAL_API_URL" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(200, text="<html>Sign in</html>", headers={"content-type": "text/html"}),
        httpx2.Response(404, text="<html>", headers={"content-type": "text/html"}),
        httpx2.Response(301, headers={"location": "https://elsewhere"}),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"nothing": 1}),
        httpx2.Response(200, json={"data": [{"id": 1}]}),
    ],
    ids=["web page", "web page of a 404", "redirection", "a list", "no data", "rows that do not fit"],
)
async def test_answers_that_are_not_the_contracts_are_errors(
    settings: Settings, response: httpx2.Response
) -> None:
    async with open_hosted(settings, transport=httpx2.MockTransport(lambda _: response)) as backend:
        with pytest.raises(ApiError, match="The hosted API answered"):
            await backend.list("case")


async def test_a_key_that_is_not_known_is_told_with_where_to_set_it(settings: Settings) -> None:
    refusal = httpx2.Response(401, json={"error": "Unknown key.", "code": "INVALID_KEY"})
    async with open_hosted(settings, transport=httpx2.MockTransport(lambda _: refusal)) as backend:
        with pytest.raises(InvalidKey, match="Unknown key") as refused:
            await backend.list("case")
        assert "AGENT_EVAL_API_KEY" in (refused.value.hint or "")


async def test_the_key_goes_out_as_a_bearer_token_and_nowhere_else(settings: Settings) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"data": [], "pagination": {"total": 0}})

    keyed = Settings.read(**settings.model_dump(exclude_unset=True) | {"api_key": "s3cret"})
    async with open_hosted(keyed, transport=httpx2.MockTransport(answer)) as backend:
        await backend.list("case")
        assert seen[0].headers["authorization"] == "Bearer s3cret"
        assert "s3cret" not in repr(await backend.capabilities())


async def test_an_override_works_over_the_vendor(settings: Settings) -> None:
    async with vendor(settings) as (backend, _):
        case_id = await make_vendors_case(backend, success_criteria=[SAYS_BACK])
        run = await finished(
            backend, await backend.start_run(case_id, agent_overrides={"system_prompt": READS_BACK})
        )
        assert run.pass_fail is True


@asynccontextmanager
async def _open(link: Connection) -> AsyncIterator[Connection]:
    yield link
