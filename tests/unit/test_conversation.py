"""The conversation loop: who speaks, what is stored, and every reason to stop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_agent_eval.engine.conversation.base import Said, Silent
from mcp_agent_eval.engine.conversation.conversation import Conversation, Ending, ToolLoop
from mcp_agent_eval.engine.conversation.persona import EndSignal, SimulatedPersona
from mcp_agent_eval.engine.conversation.prompt_agent import PromptAgent
from mcp_agent_eval.engine.tools.acting import Tools
from mcp_agent_eval.types import AgentDraft, Persona, ToolUse
from tests.scripted import MemoryJournal, ScriptedModel

RUN = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
AT = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
HANG_UP = ("", "end_conversation", {"reason": "got_what_i_wanted"})
BOOK = {
    "name": "book",
    "description": "Books.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
    "output_schema": {"type": "object", "properties": {"number": {"const": "A-1"}}, "required": ["number"]},
}
END_CALL = {"name": "endCall", "type": "system"}

Line = str | tuple[str, str, dict[str, Any]]


class Stage:
    """A conversation whose two models follow a script."""

    def __init__(
        self,
        persona: list[Line],
        agent: list[Line],
        *,
        cancel_after: int | None = None,
        max_turns: int = 20,
        marker: str = "[END OF CALL]",
        **fields: Any,
    ) -> None:
        draft = AgentDraft(name="a", system_prompt="Be brief.", **{"agent_speaks_first": False} | fields)
        self.persona_model = ScriptedModel("scripted:persona", *persona)
        self.agent_model = ScriptedModel("scripted:agent", *agent)
        self.journal = MemoryJournal(cancel_after)
        caller = Persona(id="p", name="Ann", identity_prompt="You are Ann.")
        self.conversation = Conversation(
            RUN,
            persona=SimulatedPersona(
                caller, "You call.", self.persona_model, self.journal, EndSignal(marker)
            ),
            agent=PromptAgent(draft, self.agent_model, self.journal, at=AT),
            tools=Tools(draft.tools, seed="case"),
            journal=self.journal,
            max_turns=max_turns,
            agent_opens=draft.agent_speaks_first,
        )

    async def play(self) -> Ending:
        return await self.conversation.run()

    @property
    def said(self) -> list[tuple[str, str | None]]:
        return [(turn.role, turn.text) for turn in self.conversation.turns]


async def test_the_persona_opens_when_the_agent_does_not() -> None:
    stage = Stage(["Hello?", HANG_UP], ["Good morning."])
    await stage.play()
    assert stage.said == [("persona", "Hello?"), ("agent", "Good morning.")]


async def test_a_literal_greeting_opens_without_asking_a_model() -> None:
    stage = Stage([HANG_UP], [], agent_speaks_first=True, greeting_message="Clinic, hello.")
    await stage.play()
    assert stage.said == [("agent", "Clinic, hello.")]
    assert stage.agent_model.asked == []


async def test_an_agent_that_opens_without_a_greeting_is_asked_for_one() -> None:
    stage = Stage([HANG_UP], ["Welcome."], agent_speaks_first=True)
    await stage.play()
    assert stage.said == [("agent", "Welcome.")]


async def test_the_end_tool_ends_the_call_with_its_goodbye_and_the_agent_gets_no_further_turn() -> None:
    stage = Stage(["Hi.", ("Thanks, bye.", "end_conversation", {})], ["Hello."])
    assert await stage.play() == Ending("persona_goodbye", "end_signal")
    assert stage.said[-1] == ("persona", "Thanks, bye.")


async def test_the_end_marker_is_taken_off_before_anything_is_stored() -> None:
    stage = Stage(["Hi.", "Thanks. <<DONE>>"], ["Hello."], marker="<<DONE>>")
    assert (await stage.play()).reason == "persona_goodbye"
    assert stage.said[-1] == ("persona", "Thanks.")
    assert "<<DONE>>" not in repr(stage.journal.commits)


async def test_a_persona_that_only_hangs_up_leaves_no_empty_row() -> None:
    stage = Stage(["Hi.", HANG_UP], ["Hello."])
    await stage.play()
    assert stage.said == [("persona", "Hi."), ("agent", "Hello.")]


async def test_roles_are_swapped_in_the_personas_history() -> None:
    stage = Stage(["Hi.", HANG_UP], ["Hello."])
    await stage.play()
    history = stage.persona_model.asked[-1].messages
    assert [(message.role, message.text) for message in history] == [("assistant", "Hi."), ("user", "Hello.")]


async def test_a_tool_round_gives_the_agent_a_mocked_result_before_it_speaks() -> None:
    stage = Stage(["Book.", HANG_UP], [("One moment.", "book", {"day": "Tuesday"}), "Done."], tools=[BOOK])
    await stage.play()
    assert [turn.role for turn in stage.conversation.turns] == ["persona", "agent", "tool_result", "agent"]
    call, result = stage.conversation.turns[1].tool_calls, stage.conversation.turns[2].tool_calls
    assert call is not None
    assert call[0].args == {"day": "Tuesday"}
    assert result is not None
    assert (result[0].result, result[0].mocked) == ({"number": "A-1"}, True)
    assert stage.agent_model.asked[-1].messages[-1].text == '{"number": "A-1"}'


async def test_the_persona_hears_words_said_beside_a_tool_call_and_nothing_of_the_call() -> None:
    stage = Stage(["Book.", HANG_UP], [("One moment.", "book", {}), "Done."], tools=[BOOK])
    await stage.play()
    heard = [message.text for message in stage.persona_model.asked[-1].messages if message.role == "user"]
    assert heard == ["One moment.", "Done."]


async def test_a_tool_that_does_not_exist_answers_with_an_error_for_the_agent() -> None:
    stage = Stage(["Book.", HANG_UP], [("", "fly", {}), "Sorry."], tools=[BOOK])
    await stage.play()
    result = stage.conversation.turns[2].tool_calls
    assert result is not None
    assert result[0].error == "There is no tool 'fly'."


async def test_a_system_tool_ends_the_call_for_the_agent() -> None:
    stage = Stage(["Bye."], [("Goodbye.", "endCall", {})], tools=[END_CALL])
    assert await stage.play() == Ending("agent_ended", "end_tool")


async def test_max_turns_counts_what_both_sides_said_and_the_greeting() -> None:
    stage = Stage(["1", "3"], ["2"], max_turns=3, agent_speaks_first=True, greeting_message="0")
    assert await stage.play() == Ending("max_turns")
    assert len(stage.said) == 3


async def test_a_farewell_that_both_sides_repeat_ends_the_call() -> None:
    stage = Stage(["Hi.", "Thanks, goodbye!", "Bye!"], ["Hello.", "Have a great day!", "Take care, bye."])
    assert await stage.play() == Ending("persona_goodbye", "repeated_farewell")
    assert len(stage.said) == 6


async def test_one_farewell_of_each_side_does_not_end_the_call() -> None:
    persona: list[Line] = ["Hi.", "Thanks, goodbye!", "Oh, one more thing: when do you open?", HANG_UP]
    stage = Stage(persona, ["Hello.", "Have a great day!", "At eight."])
    assert (await stage.play()).detail == "end_signal"


async def test_a_cancel_is_noticed_at_the_next_turn() -> None:
    stage = Stage(["1", "never said"], ["2", "never said"], cancel_after=2)
    assert await stage.play() == Ending("cancelled")
    assert [text for _, text in stage.said] == ["1", "2"]


async def test_an_empty_answer_is_asked_for_once_more() -> None:
    stage = Stage(["Hi.", HANG_UP], ["", "Hello."])
    await stage.play()
    assert stage.said[-1] == ("agent", "Hello.")


async def test_two_empty_answers_end_the_run_with_a_reason() -> None:
    stage = Stage(["Hi."], ["", "  "])
    with pytest.raises(Silent, match="gave an empty answer twice"):
        await stage.play()


async def test_an_agent_that_only_calls_tools_is_stopped() -> None:
    stage = Stage(["Hi."], [("", "book", {})] * 25, tools=[BOOK])
    with pytest.raises(ToolLoop, match="25 times in a row"):
        await stage.play()


async def test_the_same_call_gets_the_same_made_up_result() -> None:
    open_schema = BOOK | {"output_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    lines: list[Line] = [("", "book", {"day": "x"}), ("", "book", {"day": "x"}), "Done."]
    stage = Stage(["Book.", HANG_UP], lines, tools=[open_schema])
    await stage.play()
    results = [turn.text for turn in stage.conversation.turns if turn.role == "tool_result"]
    assert results[0] == results[1]


async def test_every_turn_keeps_its_id_when_a_run_is_played_again() -> None:
    first, second = (Stage(["Hi.", HANG_UP], ["Hello."]) for _ in range(2))
    await first.play()
    await second.play()
    ids = [turn.id for turn in first.conversation.turns]
    assert ids == [turn.id for turn in second.conversation.turns]
    assert len(set(ids)) == 2


async def test_nothing_that_the_run_is_scored_on_reaches_a_prompt() -> None:
    stage = Stage(["Hi.", HANG_UP], ["Hello."])
    await stage.play()
    system = stage.persona_model.asked[0].system
    assert "You are Ann." in system
    assert "You call." in system
    assert not any(word in system.lower() for word in ("assert", "score", "criteria", "pattern"))


async def test_variables_are_filled_in_the_prompt_and_the_greeting() -> None:
    stage = Stage(
        [HANG_UP],
        [],
        agent_speaks_first=True,
        greeting_message="Hello {{Name}}, it is {{CurrentDate}}.{{Missing}}",
        variables={"Name": "Ann"},
    )
    await stage.play()
    assert stage.said == [("agent", "Hello Ann, it is 2026-03-04.")]


class Reporting:
    """An agent elsewhere, which has used a tool by itself and hangs up."""

    def __init__(self, *reported: ToolUse) -> None:
        self._reported = reported

    def greet(self) -> Said | None:
        return None

    def hear(self, text: str) -> None:
        pass

    def take_results(self, results: Sequence[ToolUse]) -> None:
        assert not results

    async def speak(self) -> Said:
        return Said("Booked.", reported=self._reported, ends="endpoint")


async def test_tools_that_an_agent_reports_are_rows_and_are_not_used_again() -> None:
    stage = Stage(["Hello?"], [])
    whole = ToolUse(id="1", name="book", args={"day": "Tuesday"}, result={"number": "B-2"})
    broken = ToolUse(id="2", name="book", args={}, raw_args="{day: Tue")
    stage.conversation._agent = Reporting(whole, broken)
    ending = await stage.play()
    assert (ending.reason, ending.detail) == ("agent_ended", "endpoint")
    assert [turn.role for turn in stage.conversation.turns] == ["persona", "agent", "tool_result"]
    called = stage.conversation.turns[1].tool_calls or []
    assert [(use.args, use.raw_args, use.result) for use in called] == [
        ({"day": "Tuesday"}, None, None),
        ({}, "{day: Tue", None),
    ]
    outcome = (stage.conversation.turns[2].tool_calls or [])[0]
    assert (outcome.result, outcome.args) == ({"number": "B-2"}, None)
