"""What a user types into a prompt or an address is completed, with what there is; and never at the cost of an error."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import Completion, PromptReference, ResourceTemplateReference

from mcp_agent_eval.backend.connect import Connection, connect
from mcp_agent_eval.mcp_server.completions import matching
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.support import call


async def typed(client: Client, prompt: str, argument: str, value: str) -> Completion:
    """What is offered for an argument of a prompt."""
    reference = PromptReference(type="ref/prompt", name=prompt)
    return (await client.complete(reference, {"name": argument, "value": value})).completion


async def typed_in_address(client: Client, uri: str, parameter: str, value: str) -> list[str]:
    """What is offered for a part of a resource's address."""
    reference = ResourceTemplateReference(type="ref/resource", uri=uri)
    return (await client.complete(reference, {"name": parameter, "value": value})).completion.values


async def test_names_are_completed_whatever_their_case(client: Client) -> None:
    await create_clinic(client)
    await call(client, "create_agent", name="Travel desk", system_prompt="p")
    assert (await typed(client, "tune_prompt", "agent", "")).values == ["Travel desk", "Clinic"]
    assert (await typed(client, "write_cases", "agent", "cli")).values == ["Clinic"]
    assert (await typed(client, "write_cases", "agent", "desk")).values == ["Travel desk"]
    assert (await typed(client, "write_cases", "agent", "zzz")).values == []


async def test_the_beginning_of_an_id_is_completed_to_the_id(client: Client) -> None:
    case_id = await create_clinic(client)
    suite = await call(client, "create_suite", name="Smoke")
    run_id = (await call(client, "run_case", case_id=case_id))["run_id"]
    assert (await typed(client, "tune_prompt", "suite", suite["suite_id"][:6])).values == [suite["suite_id"]]
    assert (await typed(client, "debug_run", "run", run_id[:3])).values == [run_id]
    assert (await typed(client, "debug_run", "run", "zzzz")).values == []


async def test_ids_in_addresses_are_completed_also_by_name(client: Client) -> None:
    await call(client, "create_suite", name="S")
    case_id = await create_clinic(client, suite_id="S")
    suite_run_id = (await call(client, "run_suite", suite_id="S"))["suite_run_id"]
    run_id = (await call(client, "list_runs"))["runs"][0]["run_id"]
    for uri, parameter, id in (
        ("eval://runs/{run_id}", "run_id", run_id),
        ("eval://runs/{run_id}/evaluation", "run_id", run_id),
        ("eval://suite-runs/{suite_run_id}", "suite_run_id", suite_run_id),
        ("eval://cases/{case_id}", "case_id", case_id),
    ):
        assert await typed_in_address(client, uri, parameter, id[:3]) == [id]
        assert await typed_in_address(client, uri, parameter, "zzz") == []
    assert await typed_in_address(client, "eval://cases/{case_id}", "case_id", "books") == [case_id]


async def test_a_name_that_is_not_the_only_one_is_offered_by_its_ids(client: Client) -> None:
    first = await call(client, "create_suite", name="Same")
    second = await call(client, "create_suite", name="same")
    offered = (await typed(client, "tune_prompt", "suite", "sa")).values
    assert set(offered) == {first["suite_id"], second["suite_id"]}


async def test_at_most_a_hundred_values_are_offered_and_more_are_told_of(settings: Settings) -> None:
    async with Client(build_server(lambda: connect(settings))) as client:
        for number in range(105):
            await call(client, "create_suite", name=f"Suite {number}")
        offered = await typed(client, "tune_prompt", "suite", "suite")
    assert len(offered.values) == 100
    assert (offered.total, offered.has_more) == (105, True)


async def test_a_run_that_is_not_among_the_newest_is_found_by_the_beginning_of_its_id(
    settings: Settings,
) -> None:
    async with Client(build_server(lambda: connect(settings))) as client:
        case_id = await create_clinic(client)
        await call(client, "create_suite", name="S")
        run_id = (await call(client, "run_case", case_id=case_id))["run_id"]
        for number in range(10):
            name = f"Case {number}"
            await call(
                client,
                "create_case",
                name=name,
                agent_id="Clinic",
                persona_id="Maya",
                scenario="s",
                suite_id="S",
            )
        for _ in range(10):
            await call(client, "run_suite", suite_id="S", wait_seconds=0)
        assert run_id not in (await typed(client, "debug_run", "run", "")).values
        assert (await typed(client, "debug_run", "run", run_id[:8])).values == [run_id]


async def test_what_names_nothing_is_not_completed_and_opens_no_backend() -> None:
    def refuses() -> AbstractAsyncContextManager[Connection]:
        raise AssertionError("nothing is looked up for this")

    async with Client(build_server(refuses)) as client:
        assert (await typed(client, "tune_prompt", "goal", "few")).values == []
        assert (await typed(client, "write_cases", "focus", "")).values == []
        assert (
            await typed_in_address(client, "eval://runs/{run_id}/transcript{?from_turn}", "from_turn", "1")
            == []
        )


@pytest.mark.parametrize("argument", ["agent", "suite", "run"])
async def test_without_a_backend_nothing_is_offered(tmp_path: Path, argument: str) -> None:
    broken = tmp_path / "evals.db"
    broken.write_text("this is not a database, but a text that is long enough to look like one" * 20)
    settings = Settings.read(database_url=f"sqlite:///{broken}")
    async with Client(build_server(lambda: connect(settings))) as client:
        assert (await typed(client, "tune_prompt", argument, "x")).values == []


def test_names_that_cannot_be_typed_are_offered_by_their_ids() -> None:
    entries = [("a1", "two\nlines"), ("b2", "x" * 500), ("c3", ""), ("d4", "Fine")]
    assert matching(entries, "", by_name=True) == ["a1", "b2", "c3", "Fine"]
    assert matching(entries, "", by_name=False) == ["a1", "b2", "c3", "d4"]


async def test_of_a_prompt_that_does_not_exist_nothing_is_completed(client: Client) -> None:
    assert (await typed(client, "nothing", "colour", "")).values == []
