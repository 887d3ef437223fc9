"""The sample pack: it loads, two of its calls fail for reasons that can be read, and its override mends them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

import pytest
import yaml

from mcp_agent_eval.engine.conversation.conversation import Conversation
from mcp_agent_eval.engine.conversation.persona import EndSignal, SimulatedPersona
from mcp_agent_eval.engine.conversation.prompt_agent import PromptAgent
from mcp_agent_eval.engine.llm.messages import Model, ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.offline.model import OfflineModel
from mcp_agent_eval.engine.records.preflight import check_case
from mcp_agent_eval.engine.scoring.evaluation import evaluate
from mcp_agent_eval.engine.scoring.judge import Judge
from mcp_agent_eval.engine.tools.acting import Tools
from mcp_agent_eval.types import (
    NEEDS,
    OVERRIDABLE,
    AgentDraft,
    CaseDraft,
    Evaluation,
    Json,
    Persona,
    PersonaDraft,
    SuiteDraft,
    Turn,
    now,
)

BOOKING = "A new patient books a check-up"
WHITENING = "No promises about whitening"
SALES = "A sales call is kept short"


def sample(name: str) -> Json:
    text = resources.files("mcp_agent_eval.samples").joinpath(name).read_text(encoding="utf-8")
    return cast(Json, yaml.safe_load(text))


PACK = sample("clinic.yaml")
OVERRIDES = sample("overrides.yaml")
AGENT = AgentDraft.model_validate(PACK["agents"][0])
MENDED = AgentDraft.model_validate(PACK["agents"][0] | OVERRIDES)
PERSONAS = {entry["name"]: PersonaDraft.model_validate(entry) for entry in PACK["personas"]}
CASES = {entry["name"]: entry for entry in PACK["cases"]}


class Unrecorded:
    """A journal that asks and forgets."""

    recalled = False

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        return await model.complete(request)

    async def commit(self, turns: Sequence[Turn], spoken: int) -> bool:
        return False


@dataclass(frozen=True)
class Call:
    """A call that took place: who ended it, what was said, and what it was worth."""

    reason: str
    turns: list[Turn]
    evaluation: Evaluation

    def said(self, role: str) -> str:
        return "\n".join(turn.text for turn in self.turns if turn.role == role and turn.text)

    @property
    def spoken(self) -> list[str]:
        return [turn.text for turn in self.turns if turn.role in {"agent", "persona"} and turn.text]

    @property
    def failures(self) -> list[Any]:
        return [result for result in self.evaluation.results or [] if not result.passed]


async def hold(name: str, agent: AgentDraft, *, end_tool: bool = True) -> Call:
    """One call of the pack, by the engine's own parts, with `offline` in every role."""
    case, model, journal = draft(CASES[name]), OfflineModel(), Unrecorded()
    persona = Persona(id="p", **PERSONAS[CASES[name]["persona"]].model_dump())
    conversation = Conversation(
        str(uuid5(NAMESPACE_URL, name)),
        persona=SimulatedPersona(persona, case.scenario, model, journal, EndSignal("[END]", tool=end_tool)),
        agent=PromptAgent(agent, model, journal, at=now()),
        tools=Tools(agent.tools, seed=name),
        journal=journal,
        max_turns=case.max_turns,
        agent_opens=agent.agent_speaks_first,
    )
    ending = await conversation.run()
    scored = await evaluate(
        case.success_criteria, conversation.turns, case.pass_threshold, Judge(model, journal)
    )
    return Call(ending.reason, conversation.turns, scored.evaluation)


def draft(entry: Json) -> CaseDraft:
    """A case of the pack, with names where ids would be."""
    kept = {field: value for field, value in entry.items() if field not in {"agent", "persona", "suite"}}
    references = {f"{noun}_id": entry[noun] for noun in ("agent", "persona", "suite")}
    return CaseDraft.model_validate(kept | references)


def test_every_entry_fits_the_draft_that_it_is_loaded_as() -> None:
    suites = [SuiteDraft.model_validate(entry) for entry in map(without_reference, PACK["suites"])]
    cases = [draft(entry) for entry in PACK["cases"]]
    assert (len(PACK["agents"]), len(PERSONAS), len(suites), len(cases)) == (1, 3, 1, 8)
    assert suites[0].parallelism == 4


def without_reference(entry: Json) -> Json:
    return {field: value for field, value in entry.items() if field != "agent"}


def test_every_name_that_is_referred_to_is_defined_once() -> None:
    names = {
        kind: [entry["name"] for entry in PACK[f"{kind}s"]] for kind in ("agent", "persona", "suite", "case")
    }
    assert all(len(found) == len(set(found)) for found in names.values())
    for entry in [*PACK["cases"], *PACK["suites"]]:
        assert all(entry[kind] in names[kind] for kind in ("agent", "persona", "suite") if kind in entry)


@pytest.mark.parametrize("name", CASES)
def test_no_case_would_be_refused_when_it_is_created(name: str) -> None:
    check_case(draft(CASES[name]), AGENT)


def test_the_pack_shows_every_assertion_that_a_prompt_can_meet() -> None:
    used = {assertion.type for entry in PACK["cases"] for assertion in draft(entry).success_criteria}
    assert used == NEEDS.keys() - {"must_reach_node"}
    assert "$present" in str(PACK["cases"])


def test_the_override_can_be_applied_and_changes_two_lines_of_the_prompt() -> None:
    assert OVERRIDES.keys() <= OVERRIDABLE
    lines = difflib.ndiff(AGENT.system_prompt.splitlines(), MENDED.system_prompt.splitlines())
    changed = [line for line in lines if line[0] in "+-"]
    assert [line[0] for line in changed] == ["+", "-", "+"]


async def test_two_calls_fail_as_the_pack_stands_and_none_under_its_override() -> None:
    before = {name: await hold(name, AGENT) for name in CASES}
    after = {name: await hold(name, MENDED) for name in CASES}
    assert [name for name, call in before.items() if not call.evaluation.pass_fail] == [BOOKING, WHITENING]
    assert [name for name, call in after.items() if not call.evaluation.pass_fail] == []
    assert all(call.evaluation.score == 100 for call in after.values())


async def test_only_the_calls_that_the_two_lines_are_about_become_different() -> None:
    changed = [
        name for name in CASES if (await hold(name, AGENT)).spoken != (await hold(name, MENDED)).spoken
    ]
    assert changed == [BOOKING, "Friday is taken to be a working day", WHITENING]


async def test_the_booking_is_read_back_only_where_the_prompt_asks_for_it() -> None:
    read_back = "a check-up on Tuesday at 3 pm for Maya Cohen. Is that right?"
    assert read_back not in (await hold(BOOKING, AGENT)).said("agent")
    assert read_back in (await hold(BOOKING, MENDED)).said("agent")


async def test_the_evidence_of_the_broken_promise_is_the_promise() -> None:
    failures = (await hold(WHITENING, AGENT)).failures
    assert {failure.assertion.type for failure in failures} == {"must_not_say", "custom_llm_judge"}
    assert all("guarantee" in failure.evidence[0].quote for failure in failures)


async def test_the_judge_says_which_words_it_missed_and_that_it_is_no_llm() -> None:
    judged = [it for it in (await hold(BOOKING, AGENT)).failures if it.assertion.type == "custom_llm_judge"]
    assert judged[0].reason.startswith("Offline word match, not an LLM: ")
    assert "reads" in judged[0].reason


@pytest.mark.parametrize("agent", [AGENT, MENDED], ids=["as it is", "overridden"])
@pytest.mark.parametrize("name", CASES)
async def test_every_call_comes_to_an_end_of_its_own_and_nobody_repeats_themselves(
    name: str, agent: AgentDraft
) -> None:
    call = await hold(name, agent)
    assert call.reason == ("agent_ended" if name == SALES else "persona_goodbye")
    assert 3 <= len(call.spoken) <= 12
    assert len(call.spoken) == len(set(call.spoken))


@pytest.mark.parametrize("name", CASES)
async def test_a_persona_without_an_end_tool_ends_the_same_call_with_its_marker(name: str) -> None:
    assert (await hold(name, AGENT, end_tool=False)).spoken == (await hold(name, AGENT)).spoken


async def test_a_call_that_is_held_again_is_the_same_call() -> None:
    first, second = [(await hold(BOOKING, AGENT)).turns for _ in range(2)]
    assert [turn.model_dump(exclude={"created_at"}) for turn in first] == [
        turn.model_dump(exclude={"created_at"}) for turn in second
    ]
