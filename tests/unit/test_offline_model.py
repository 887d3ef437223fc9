"""`offline` in its three roles: what it makes of a prompt, a persona and a rubric, and that nothing upsets it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcp_agent_eval.engine.conversation.persona_prompt import persona_prompt
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline.model import OfflineModel
from mcp_agent_eval.types import Json, Persona
from tests.support import shared_path

GREETING = "Good morning, how can I help you?"
CONFIRMED = {"success": True, "confirmation_number": "AB-1042"}


def function(name: str, /, **properties: Json) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": list(properties)})


def string(description: str = "") -> Json:
    return {"type": "string", "description": description}


BOOK = function(
    "bookTable",
    day=string("The day of the visit"),
    guests={"type": "integer", "description": "How many guests come"},
    name=string("Name of the guest"),
)
END_CALL = ToolSpec("endCall", "Ends the call.", {"type": "object", "properties": {}})
HANG_UP = ToolSpec(
    "end_conversation",
    "End the call.",
    {
        "type": "object",
        "properties": {"reason": {"type": "string", "enum": ["got_what_i_wanted", "gave_up"]}},
        "required": ["reason"],
    },
)
PROMPT = """
You are Alma, the host of a restaurant.

# Facts
- The kitchen closes at 10 pm.
- Dogs are welcome on the terrace.
- Never talk about other guests.

# Rules
- When the caller wants to book a table, call bookTable.
- If the caller asks about allergies, say "Please tell the waiter, {{Name}}. Nuts are used in [day] dishes."
- When the caller says goodbye, say "See you soon, goodbye!" and call endCall.
"""


async def agent(prompt: str, *heard: str, tools: tuple[ToolSpec, ...] = (BOOK, END_CALL)) -> Message:
    """The agent's last message after the caller said these things one after the other."""
    messages = [Message("assistant", GREETING)]
    reply = messages[0]
    for words in heard:
        messages.append(Message("user", words))
        reply = await ask(ModelRequest("agent", prompt, tuple(messages), tools))
        messages.append(reply)
        while reply.tool_calls:
            messages += [
                Message("tool", json.dumps(CONFIRMED), tool_call_id=it.id) for it in reply.tool_calls
            ]
            if any(call.name == "endCall" for call in reply.tool_calls) or words == heard[-1]:
                return reply
            reply = await ask(ModelRequest("agent", prompt, tuple(messages), tools))
            messages.append(reply)
    return reply


async def after_booking(prompt: str, result: str, tools: tuple[ToolSpec, ...] = (BOOK,)) -> Message:
    """What the agent says when its tool came back with this."""
    messages = (
        Message("user", "I want to book a table."),
        Message("assistant", "", (ToolCall("1", "bookTable", {}),)),
        Message("tool", result, tool_call_id="1"),
    )
    return await ask(ModelRequest("agent", prompt, messages, tools))


async def ask(request: ModelRequest) -> Message:
    return (await OfflineModel().complete(request)).message


def caller(scenario: str, **traits: object) -> str:
    persona = Persona(id="p", name="P", identity_prompt="You are Noa, a nurse.", behavior_traits=dict(traits))
    return persona_prompt(persona, scenario, end_marker="[END]", end_tool=False)


async def persona(
    system: str, *heard: str, tools: tuple[ToolSpec, ...] = (HANG_UP,), greeting: str = GREETING
) -> Message:
    """The persona's last message after it heard these things one after the other."""
    messages = [Message("user", greeting)]
    reply = await ask(ModelRequest("persona", system, tuple(messages), tools))
    for words in heard:
        messages += [Message("assistant", reply.text), Message("user", words)]
        reply = await ask(ModelRequest("persona", system, tuple(messages), tools))
    return reply


async def verdict(rubric: str, *lines: str) -> Json:
    request = judgement(rubric, "\n".join(lines))
    return json.loads((await ask(request)).text)


def judgement(rubric: str, transcript: str) -> ModelRequest:
    both = f"<rubric>\n{rubric}\n</rubric>\n<transcript>\n{transcript}\n</transcript>"
    schema: Json = {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string"},
            "turns": {"type": "array", "items": {"type": "integer"}},
            "passed": {"type": "boolean"},
        },
        "required": ["reasoning", "turns", "passed"],
    }
    return ModelRequest("judge", "Decide.", (Message("user", both),), schema=schema)


class TestTheModel:
    async def test_the_same_request_gives_the_same_reply(self) -> None:
        request = ModelRequest("agent", PROMPT, (Message("user", "A table for Friday?"),), (BOOK,))
        assert await OfflineModel().complete(request) == await OfflineModel().complete(request)

    def test_replies_do_not_depend_on_the_order_in_which_a_process_keeps_its_sets(self) -> None:
        program = (
            "import anyio, sys\n"
            "from mcp_agent_eval.engine.llm.messages import Message, ModelRequest\n"
            "from mcp_agent_eval.engine.llm.offline.model import OfflineModel\n"
            "said = Message('user', 'When do the kitchen and the terrace close, and are other guests welcome?')\n"
            "request = ModelRequest('agent', sys.argv[1], (said,))\n"
            "sys.stdout.write(anyio.run(OfflineModel().complete, request).message.text)\n"
        )
        replies = {
            subprocess.run(
                [sys.executable, "-c", program, PROMPT],
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(replies) == 1

    async def test_what_it_was_sent_and_what_it_answered_can_be_read_and_is_marked(self) -> None:
        reply = await OfflineModel().complete(
            ModelRequest("agent", PROMPT, (Message("user", "Hello"),), (BOOK,))
        )
        assert (reply.model, OfflineModel().name) == ("offline", "offline")
        assert reply.sent["note"] == reply.received["note"] == "not an LLM"
        assert reply.sent["system"] == PROMPT
        assert [tool["name"] for tool in reply.sent["tools"]] == ["bookTable"]
        assert reply.received["content"] == reply.message.text
        json.dumps([reply.sent, reply.received])

    async def test_a_longer_history_costs_more_input_tokens(self) -> None:
        request = ModelRequest("agent", PROMPT, (Message("user", "Hello"),))
        longer = replace(
            request, messages=(*request.messages, Message("assistant", "Hi"), Message("user", "A b c"))
        )
        short, long = [(await OfflineModel().complete(it)).usage for it in (request, longer)]
        assert 0 < short.input < long.input
        assert short.output > 0


class TestTheAgent:
    async def test_it_asks_for_what_a_tool_still_needs_and_calls_it_once_it_knows(self) -> None:
        said = ["I want to book a table.", "On Friday.", "Four, please.", "My name is Dan Katz."]
        replies = [await agent(PROMPT, *said[: count + 1]) for count in range(len(said))]
        assert [reply.text for reply in replies] == [
            "Could you tell me the day of the visit, please?",
            "Thank you. And how many guests come?",
            "Thank you. And your name?",
            "",
        ]
        assert replies[-1].tool_calls[0].name == "bookTable"
        assert replies[-1].tool_calls[0].args == {"day": "Friday", "guests": 4, "name": "Dan Katz"}

    async def test_it_gives_up_on_an_argument_that_the_caller_will_not_tell(self) -> None:
        refused = ["I do not know."] * 2
        reply = await agent(PROMPT, "I want to book a table.", *refused)
        assert reply.text.startswith("I am sorry, I cannot book the table without the day of the visit.")
        after = await agent(PROMPT, "I want to book a table.", *refused, "Oh well.")
        assert [call.name for call in after.tool_calls] == ["endCall"]

    async def test_after_a_tool_it_says_what_was_done_and_the_number_that_came_back(self) -> None:
        told = await after_booking(PROMPT, json.dumps(CONFIRMED))
        assert told.text.startswith("I have booked the table. The confirmation number is AB-1042.")
        assert (await after_booking(PROMPT, "booked!")).text.startswith("I have booked the table.")

    async def test_a_tool_that_failed_is_not_reported_as_done(self) -> None:
        reply = await after_booking(PROMPT, '{"error": "closed"}')
        assert reply.text.startswith("I am sorry, I could not book the table.")

    async def test_a_line_about_a_failure_is_kept_for_the_failure(self) -> None:
        prompt = f'{PROMPT}- If the booking fails, say "Please try our sister house."\n'
        assert "sister" not in (await agent(prompt, "I want to book a table.")).text
        assert "sister" not in (await after_booking(prompt, "{}")).text
        assert "sister" in (await after_booking(prompt, '{"success": false}')).text

    async def test_an_error_that_the_caller_reports_is_no_failure_of_a_tool(self) -> None:
        prompt = 'If the caller reports an error, say "Please restart the router."'
        assert (await agent(prompt, "It shows an error.")).text == "Please restart the router."

    async def test_quoted_speech_is_spoken_to_the_letter_and_only_known_slots_are_filled(self) -> None:
        reply = await agent(PROMPT, "What about allergies on Monday?")
        assert reply.text == "Please tell the waiter, {{Name}}. Nuts are used in Monday dishes."
        reply = await agent(PROMPT, "What about allergies?")
        assert reply.text == "Please tell the waiter, {{Name}}. Nuts are used in [day] dishes."

    async def test_a_question_is_answered_with_the_sentence_that_is_about_it(self) -> None:
        assert (await agent(PROMPT, "May I bring my dog?")).text == "Dogs are welcome on the terrace."

    async def test_what_the_prompt_forbids_is_refused(self) -> None:
        reply = await agent(PROMPT, "Who are your other guests tonight?")
        assert reply.text == "I am sorry, I cannot talk about other guests."

    async def test_a_question_in_between_does_not_lose_the_booking(self) -> None:
        reply = await agent(PROMPT, "I want to book a table.", "When does the kitchen close?")
        assert reply.text.startswith("The kitchen closes at 10 pm. I need the day of the visit")

    async def test_it_ends_the_call_when_the_caller_takes_their_leave(self) -> None:
        reply = await agent(PROMPT, "Thanks, goodbye.")
        assert reply.text == "See you soon, goodbye!"
        assert [call.name for call in reply.tool_calls] == ["endCall"]

    @pytest.mark.parametrize(
        ("line", "spoken"),
        [
            ('Before you book, say "So [name] on [day], yes?"', "So Dan on Friday, yes?"),
            (
                "Always confirm the details before booking.",
                "Let me read that back: Friday, 4, Dan. Is that right?",
            ),
            ("Before booking, ask whether they have children with them.", None),
        ],
    )
    async def test_a_line_about_the_moment_before_a_tool_delays_the_tool(
        self, line: str, spoken: str | None
    ) -> None:
        said = ["I want to book a table on Friday.", "4", "My name is Dan."]
        reply = await agent(f"{PROMPT}- {line}\n", *said)
        assert not reply.tool_calls
        assert reply.text == (spoken or "Could you tell me whether you have children with you?")
        assert (await agent(f"{PROMPT}- {line}\n", *said, "Yes.")).tool_calls

    async def test_a_line_about_the_moment_after_a_tool_is_added_to_the_report(self) -> None:
        told = await after_booking(f'{PROMPT}- After booking, say "Please be on time."\n', "{}")
        assert told.text.startswith("I have booked the table. Please be on time.")

    async def test_a_line_with_slots_takes_the_place_of_the_report(self) -> None:
        prompt = f'{PROMPT}- After booking, say "Your number is [confirmation number]."\n'
        told = await after_booking(prompt, json.dumps(CONFIRMED))
        assert told.text.startswith("Your number is AB-1042. Is there anything else")

    async def test_a_tool_can_be_due_after_another_tool(self) -> None:
        told = await after_booking(f"{PROMPT}- After booking, call endCall.\n", "{}", tools=(BOOK, END_CALL))
        assert [call.name for call in told.tool_calls] == ["endCall"]
        assert told.text == "I have booked the table."

    async def test_the_steps_of_a_script_are_taken_in_their_order(self) -> None:
        script = """
        1. Greet the caller and ask for their name.
        2. Ask what the problem is.
        3. Tell the caller that somebody will call them back.
        4. Finally, say "Have a nice day."
        """
        said = ["Hi there.", "Eve.", "It is broken.", "Fine."]
        lines = [(await agent(script, *said[: count + 1], tools=())).text for count in range(len(said))]
        assert lines[:3] == [
            "Could you tell me your name?",
            "Could you tell me what the problem is?",
            "Somebody will call you back.",
        ]
        assert (await agent(script, *said[:3], "That is all, bye.", tools=())).text == "Have a nice day."

    async def test_a_tool_that_the_prompt_does_not_name_is_still_used(self) -> None:
        reply = await agent("You are a friendly host.", "I want to book a table.")
        assert reply.text == "Could you tell me the day of the visit, please?"

    async def test_a_question_that_the_prompt_does_not_answer_is_not_answered(self) -> None:
        reply = await agent("You are a friendly host.", "How tall is the tower?", tools=())
        assert reply.text.startswith("I am sorry, I do not know that.")

    async def test_it_greets_when_nobody_has_spoken(self) -> None:
        assert (await ask(ModelRequest("agent", "You are a host.", ()))).text == "Hello, how can I help you?"


@pytest.mark.parametrize(
    ("name", "schema", "heard", "value"),
    [
        ("day", string(), "Could we say 2026-03-04?", "2026-03-04"),
        ("visit_date", string(), "On the 4th of March.", "4th of March"),
        ("start", {"type": "string", "format": "date"}, "tuesday is fine", "Tuesday"),
        ("time", string(), "At half past, no, at 3:30 pm", "3:30 pm"),
        ("contact", string("Phone number of the caller"), "It is 555-010-4242.", "555-010-4242"),
        ("email", string(), "Write to dana@example.com", "dana@example.com"),
        ("customerName", string(), "This is Ana-Maria Ruiz speaking", "Ana-Maria Ruiz"),
        ("order_id", string(), "The number is AX-77120", "AX-77120"),
        ("size", {"type": "string", "enum": ["small", "extra_large"]}, "An extra large one", "extra_large"),
        ("reason", string(), "I have a toothache.", "I have a toothache"),
    ],
)
async def test_an_argument_is_found_in_what_the_caller_said(
    name: str, schema: Json, heard: str, value: str
) -> None:
    reply = await agent(
        "You are a clerk.", f"Please order. {heard}", tools=(function("order", **{name: schema}),)
    )
    assert reply.tool_calls[0].args == {name: value if name != "reason" else f"Please order. {value}"}


async def test_an_offer_that_is_accepted_counts_as_said() -> None:
    prompt = PROMPT + '- If the caller wants Monday, say "We are closed then. Would Sunday suit you?"\n'
    reply = await agent(prompt, "Book a table on Monday, my name is Dan.", "Yes, that works.", "4")
    assert reply.tool_calls[0].args["day"] == "Sunday"


class TestThePersona:
    async def test_it_opens_with_its_reason_in_the_first_person(self) -> None:
        system = caller("You broke your glasses and need a new pair. If they offer Monday, refuse.")
        assert (await persona(system)).text == "Hi. I broke my glasses and need a new pair."

    async def test_a_scenario_in_the_third_person_becomes_the_first(self) -> None:
        reply = await persona(caller("The persona wants to know where her parcel is."))
        assert reply.text == "Hi. I want to know where my parcel is."

    async def test_it_tells_one_fact_at_a_time_and_only_the_one_that_was_asked_for(self) -> None:
        system = caller(
            "You want a table.", known_info={"name": "Noa Gal", "day": "Friday"}, unknown_info=["Guests"]
        )
        assert (await persona(system, "What is your name?")).text == "My name is Noa Gal."
        assert (await persona(system, "Which day would suit you?")).text == "My day is Friday."
        assert (await persona(system, "How many guests are you?")).text == "I am sorry, I do not know that."
        assert (await persona(system, "What is your shoe size?")).text == "I am sorry, I do not know that."

    async def test_it_agrees_to_an_offer_and_confirms_what_is_read_back(self) -> None:
        system = caller("You want a table.")
        assert (
            await persona(system, "Would Tuesday at 3 pm work for you?")
        ).text == "Yes, that works for me."
        assert (await persona(system, "So it is Tuesday. Is that right?")).text == "Yes, that is right."

    async def test_an_uncooperative_one_dodges_once_and_then_tells(self) -> None:
        system = caller("You want a table.", known_info=["Your name is Noa."], cooperation="uncooperative")
        assert (await persona(system, "What is your name?")).text == "I would rather not say."
        assert (await persona(system, "What is your name?", "Your name?")).text == "My name is Noa."

    async def test_it_brings_up_what_is_left_before_it_goes(self) -> None:
        system = caller("You want a table. Then ask whether dogs are welcome.")
        reply = await persona(system, "Your table is booked. Anything else?")
        assert reply.text == "I also want to know whether dogs are welcome."
        assert not reply.tool_calls
        last = await persona(system, "Your table is booked. Anything else?", "Yes, they are.")
        assert last.tool_calls

    async def test_its_goodbye_comes_with_the_tool_that_ends_the_call(self) -> None:
        reply = await persona(caller("You want a table."), "It is booked. Anything else?")
        assert reply.text == "No, that is all. Thank you, goodbye."
        assert [(call.name, call.args) for call in reply.tool_calls] == [
            ("end_conversation", {"reason": "got_what_i_wanted"})
        ]

    async def test_without_such_a_tool_its_goodbye_ends_with_the_marker(self) -> None:
        reply = await persona(caller("You want a table."), "It is booked. Anything else?", tools=())
        assert reply.text == "No, that is all. Thank you, goodbye. [END]"

    async def test_it_loses_patience_with_an_agent_that_gets_nowhere(self) -> None:
        system = caller("You want a table.", patience="low")
        reply = await persona(system, "I see.", "Hm.", "I see.", "Hm.")
        assert "goodbye" in reply.text.lower()
        assert reply.tool_calls[0].args == {"reason": "gave_up"}

    async def test_it_opens_the_call_when_nobody_has_spoken(self) -> None:
        request = ModelRequest("persona", caller("You want a table."), (), (HANG_UP,))
        assert (await ask(request)).text == "Hi. I want a table."


class TestTheJudge:
    async def test_it_passes_what_the_agent_said_and_names_the_turn(self) -> None:
        answer = await verdict(
            "The agent states the cancellation fee.", "[3] agent: The cancellation fee is 25 dollars."
        )
        assert answer["passed"] is True
        assert answer["turns"] == [3]
        assert answer["reasoning"].startswith("Offline word match, not an LLM: ")

    async def test_words_of_the_caller_do_not_count(self) -> None:
        answer = await verdict(
            "The agent states the cancellation fee.",
            "[0] agent: Hello.",
            "[1] persona: Is there a cancellation fee?",
        )
        assert answer["passed"] is False
        assert "cancellation and fee" in answer["reasoning"]

    async def test_what_must_not_be_said_is_found_unless_it_is_denied(self) -> None:
        rubric = "The agent does not promise a refund."
        broken = await verdict(rubric, "[2] agent: I promise you a full refund.")
        kept = await verdict(rubric, "[2] agent: I cannot promise you a refund.")
        assert (broken["passed"], broken["turns"]) == (False, [2])
        assert kept["passed"] is True

    async def test_calls_of_tools_count_as_done(self) -> None:
        answer = await verdict(
            "The agent cancels the appointment.", '[4] agent calls cancelAppointment {"id": 1}'
        )
        assert answer["passed"] is True

    async def test_an_empty_rubric_is_not_met(self) -> None:
        assert (await verdict("", "[0] agent: Hello."))["passed"] is False


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"verdict": {"enum": ["pass", "fail"]}}, "required": ["verdict"]},
        {"type": "object", "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}}},
        {"type": "array", "items": {"type": "string"}, "minItems": 2},
        {
            "$defs": {"a": {"type": "object", "required": ["b"], "properties": {"b": {"const": 7}}}},
            "$ref": "#/$defs/a",
        },
        {
            "anyOf": [
                {"type": "object", "required": ["x"], "properties": {"x": {"type": "boolean"}}},
                {"type": "null"},
            ]
        },
        {
            "allOf": [
                {"type": "object"},
                {"properties": {"x": {"type": ["null", "number"], "exclusiveMinimum": 2}}},
            ]
        },
        {"type": "object", "required": ["free"], "additionalProperties": True},
        {"type": "string", "minLength": 300, "maxLength": 310},
        {
            "type": "object",
            "properties": {"when": {"type": "string", "format": "date"}, "no": {"type": "null"}},
        },
    ],
)
@pytest.mark.parametrize("purpose", ["agent", "persona", "judge"])
async def test_a_reply_has_the_shape_that_was_asked_for(purpose: str, schema: Json) -> None:
    request = replace(judgement("The agent greets.", "[0] agent: Hello."), purpose=purpose, schema=schema)
    Draft202012Validator(schema).validate(json.loads((await ask(request)).text))


SCRAPS = """
    When If Before After the caller books , : . ? ! - 1. # " “ ” say "Hello [name]" call bookTable endCall ask
    for your name never always first finally goodbye {x} <y> you You're is right Friday 3pm <rubric>
"""
TEXTS = st.text(max_size=400) | st.lists(st.sampled_from([*SCRAPS.split(), "\n"])).map(" ".join)


@given(TEXTS, TEXTS, TEXTS, st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_prompt_and_any_persona_come_to_an_end_within_twenty_turns(
    prompt: str, scenario: str, trait: str, with_tools: bool
) -> None:
    system = caller(scenario, known_info=[trait], goal=trait, manner=trait)
    assert anyio.run(spoken_turns, prompt, system, with_tools) <= 20


async def spoken_turns(prompt: str, system: str, with_tools: bool) -> int:
    """How many turns it takes until one of the two ends the call; 99 when neither does."""
    heard_by_agent = [Message("assistant", GREETING)]
    heard_by_persona = [Message("user", GREETING)]
    tools = (BOOK, END_CALL) if with_tools else ()
    for turns in range(2, 40, 2):
        said = await ask(ModelRequest("persona", system, tuple(heard_by_persona), (HANG_UP,)))
        assert said.text
        if said.tool_calls:
            return turns
        heard_by_persona.append(said)
        heard_by_agent.append(Message("user", said.text))
        for answer in await agent_turn(prompt, heard_by_agent, tools):
            heard_by_persona.append(Message("user", answer.text))
            if any(call.name == "endCall" for call in answer.tool_calls):
                return turns + 1
    return 99


async def agent_turn(prompt: str, messages: list[Message], tools: tuple[ToolSpec, ...]) -> list[Message]:
    """What the agent says until it waits for the caller; its tools succeed."""
    said: list[Message] = []
    while not said or said[-1].tool_calls:
        said.append(await ask(ModelRequest("agent", prompt, tuple(messages), tools)))
        assert said[-1].text or said[-1].tool_calls
        assert len(said) < 5
        messages.append(said[-1])
        messages += [Message("tool", json.dumps(CONFIRMED), tool_call_id=it.id) for it in said[-1].tool_calls]
    return said


@given(TEXTS, TEXTS)
@settings(deadline=None)
def test_any_rubric_and_any_transcript_get_a_verdict(rubric: str, transcript: str) -> None:
    answer = json.loads(anyio.run(ask, judgement(rubric, transcript)).text)
    assert isinstance(answer["passed"], bool)


@pytest.mark.shared
async def test_real_policies_and_strings_that_break_things_do_not_break_it() -> None:
    policies = [part["policy"] for part in json.loads(shared_path("real/contexts.json").read_text()).values()]
    for policy in policies:
        assert (
            await spoken_turns(policy, caller("You want to cancel your flight. Ask about a refund."), True)
            <= 20
        )
    naughty = json.loads(shared_path("real/blns.json").read_text())
    for words in naughty:
        assert (await agent(PROMPT, words)).text
        assert (await persona(caller(words or "-"), words)).text
