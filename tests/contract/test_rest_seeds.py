"""The hosted API's own example bodies, posted to ours and answered in the shapes of its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.rest_support import BOOK, Caller, open_api
from tests.contract.seed_pages import Page, differences, read_page

PAGES = ("create-case.txt", "run-case.txt", "get-run.txt", "suite-run-aggregate.txt")
OURS = {"id", "company_id", "created_at", "updated_at", "deleted_at"}


@dataclass
class Seeded:
    """An API in which the nouns of the pages' samples exist, and their ids."""

    api: Caller
    agent_id: str
    persona_id: str
    suite_id: str

    def case_body(self) -> dict[str, Any]:
        """The sample of the page on creating cases, with ids that exist."""
        ids = {"agent_id": self.agent_id, "persona_id": self.persona_id, "suite_id": self.suite_id}
        return read_page("create-case.txt").request | ids

    def full_case_body(self) -> dict[str, Any]:
        """The same, with every field that its sample answer shows of an assertion."""
        shown = read_page("create-case.txt").answer["success_criteria"][0]
        return self.case_body() | {
            "success_criteria": [shown | {"type": "must_call_tool", "tool_name": BOOK["name"]}]
        }


@pytest.fixture
async def seeded(tmp_path: Path) -> AsyncIterator[Seeded]:
    sample = read_page("create-case.txt").answer
    async with open_api(tmp_path) as api:
        agent = {name: value for name, value in sample["agent"].items() if name not in OURS}
        # A URL that the sample leaves open, and nodes that belong to the other type of agent.
        agent |= {"webhook_url": "https://example.com/hook", "flow_config": None, "tools": [BOOK]}
        persona = {name: value for name, value in sample["persona"].items() if name not in OURS}
        yield Seeded(
            api,
            (await api.post("/agents", agent))["id"],
            (await api.post("/agent-eval/personas", persona))["id"],
            (await api.post("/agent-eval/suites", {"name": "Clinic"}))["id"],
        )


def _nullable() -> frozenset[str]:
    """Names of fields that the pages call nullable. `flow_config` is what only a flow agent has."""
    fields = [field for name in PAGES for field in read_page(name).fields]
    return frozenset(field.name for field in fields if field.type.endswith("| null")) | {"flow_config"}


def _assert_keeps(page: Page, answer: dict[str, Any]) -> None:
    assert len(page.fields) >= 13, "the page was not read as it is"
    missing = [field.name for field in page.fields if field.name not in answer]
    assert not missing
    assert not [
        f"{field} {answer[field.name]!r}" for field in page.fields if not field.fits(answer[field.name])
    ]
    assert not list(differences(page.answer, answer, _nullable()))


async def test_the_example_case_is_created_and_answered_as_its_page_says(seeded: Seeded) -> None:
    answer = await seeded.api.post("/agent-eval/cases", seeded.full_case_body())

    _assert_keeps(read_page("create-case.txt"), answer)
    assert answer["agent"]["flow_config"] is None
    assert {name: answer[name] for name in seeded.full_case_body()} == seeded.full_case_body()


async def test_the_worked_example_of_the_page_is_a_case(seeded: Seeded) -> None:
    worked = read_page("create-case.txt").worked
    ids = {"agent_id": seeded.agent_id, "persona_id": seeded.persona_id}
    answer = await seeded.api.post("/agent-eval/cases", worked | ids)

    assert len(worked["success_criteria"]) == 3
    assert {name: answer[name] for name in worked} == worked | ids


async def test_a_run_of_the_example_case_is_answered_as_its_page_says(seeded: Seeded) -> None:
    page = read_page("run-case.txt")
    case = await seeded.api.post("/agent-eval/cases", seeded.full_case_body())
    run = await seeded.api.post(f"/agent-eval/cases/{case['id']}/run", page.request, status=200)

    _assert_keeps(page, run)
    assert run["case"]["agent"]["id"] == seeded.agent_id
    assert run["case"]["persona"]["id"] == seeded.persona_id


async def test_a_run_is_read_as_its_page_says(seeded: Seeded) -> None:
    case = await seeded.api.post("/agent-eval/cases", seeded.full_case_body())
    started = await seeded.api.post(f"/agent-eval/cases/{case['id']}/run", status=200)
    run = await seeded.api.get(f"/agent-eval/runs/{started['id']}")

    _assert_keeps(read_page("get-run.txt"), run)
    assert run == started


async def test_a_suite_run_is_added_up_as_its_page_says(seeded: Seeded) -> None:
    suite = f"/agent-eval/suites/{seeded.suite_id}"
    await seeded.api.post("/agent-eval/cases", seeded.full_case_body())
    started = await seeded.api.post(f"{suite}/run", status=202)
    aggregate = await seeded.api.settled(f"{suite}/runs/{started['suite_run_id']}")

    _assert_keeps(read_page("suite-run-aggregate.txt"), aggregate)
    assert [run["id"] for run in aggregate["runs"]] == started["run_ids"]
