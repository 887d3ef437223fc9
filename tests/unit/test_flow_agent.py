"""A flow with a model: who decides what, what is said, and what the transcript is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_agent_eval.engine.conversation.base import Said, Silent
from mcp_agent_eval.engine.conversation.flow_agent import FlowAgent
from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.flows.machine import FlowLoop
from mcp_agent_eval.types import AgentDraft, Json, Tool, ToolUse
from mcp_agent_eval.types.flow import FlowConfig
from tests.flows import PUBLISHED, config, end, flow, published, start, talk, tool, tools_of
from tests.scripted import MemoryJournal, ScriptedModel

AT = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
BOOK = Tool.model_validate(
    {
        "name": "book",
        "description": "Books.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}, "note": {"type": "string"}},
            "required": ["day"],
        },
    }
)
PLAIN = Tool.model_validate({"name": "book"})
DESK = talk("desk", ("book", "wants an appointment", "booking"), ("leave", "is done", "bye"))

Line = str | tuple[str, str, dict[str, Any]]


def pick(transition: str, text: str = "") -> Line:
    return (text, "pick_transition", {"transition_id": transition})


def use(**arguments: Any) -> Line:
    return ("", "book", arguments)


class Call:
    """A caller on the line with a flow agent whose model follows a script."""

    def __init__(
        self,
        flow: FlowConfig,
        *lines: Line,
        tools: list[Tool] | None = None,
        model: ScriptedModel | None = None,
        **fields: Any,
    ) -> None:
        self.model = model or ScriptedModel("scripted:agent", *lines)
        draft = AgentDraft(name="Desk", system_prompt="You are the desk.", **fields)
        tools = [BOOK] if tools is None else tools
        self.agent = FlowAgent(draft, flow, tools, self.model, MemoryJournal(), at=AT)
        self.said: list[Said] = []
        self.outcomes: list[ToolUse] = []

    async def open(self) -> str:
        """The agent's first turn."""
        greeting = self.agent.greet()
        return self._heard(greeting) if greeting else await self._turn()

    async def say(self, text: str) -> str:
        """What the agent answers, all of it until the caller has a turn again."""
        self.agent.hear(text)
        return await self._turn()

    async def _turn(self) -> str:
        words = [self._heard(said := await self.agent.speak())]
        while said.tool_calls:
            call = said.tool_calls[0]
            result = self.outcomes.pop(0) if self.outcomes else ToolUse(id="", name="", result={"number": 7})
            self.agent.take_results([result.model_copy(update={"id": call.id, "name": call.name})])
            words.append(self._heard(said := await self.agent.speak()))
        return " ".join(word for word in words if word)

    def _heard(self, said: Said) -> str:
        self.said.append(said)
        return said.text

    @property
    def events(self) -> list[Json]:
        return [event for said in self.said for event in said.events]

    @property
    def route(self) -> list[tuple[str, str]]:
        """The nodes that were entered, with the reasons."""
        entered = [event for event in self.events if event["type"] == "flow_node_entered"]
        return [(event["step_id"], event["reason"]) for event in entered]

    @property
    def decisions(self) -> list[tuple[str, bool]]:
        found = [event for event in self.events if event["type"] == "flow_eval_decision"]
        return [(event["decision"], event["valid"]) for event in found]

    def asked(self, number: int = -1) -> str:
        """The system prompt of a request."""
        return self.model.asked[number].system

    def offered(self, number: int = -1) -> list[str]:
        return [spec.name for spec in self.model.asked[number].tools]


def clinic(**fields: Any) -> FlowConfig:
    return flow(start(), DESK, tool("booking", "done", "sorry", **fields), DONE, SORRY, end())


DONE = talk("done", ("leave", "is done", "bye"))
SORRY = talk("sorry", ("leave", "is done", "bye"))


# --- The start


async def test_a_literal_greeting_is_said_without_a_model_and_the_first_step_is_entered_with_it() -> None:
    call = Call(clinic())
    assert call.agent.opens
    assert await call.open() == "Clinic, hello."
    assert call.model.asked == []
    assert call.route == [("start", "start"), ("desk", "start")]


async def test_an_instructed_greeting_is_asked_for_together_with_the_first_step() -> None:
    call = Call(
        flow(start(greeting="Be warm.", is_literal=False), DESK, tool("booking", "bye"), end()), "Hi!"
    )
    assert call.agent.greet() is None
    assert await call.open() == "Hi!"
    assert "Be warm." in call.asked()
    assert "Do desk." in call.asked()
    assert call.offered() == []


async def test_without_auto_advance_the_first_step_begins_after_the_callers_first_words() -> None:
    call = Call(flow(start(auto_advance=False), DESK, tool("booking", "bye"), end()), "What can I do?")
    await call.open()
    assert call.route == [("start", "start")]
    assert await call.say("Hello.") == "What can I do?"
    assert call.route[1:] == [("desk", "start")]
    assert call.offered() == []


async def test_a_caller_who_begins_is_answered_by_the_first_step() -> None:
    quiet = start(agent_speaks_first=False)
    call = Call(flow(quiet, DESK, tool("booking", "bye"), end()), "Good day.")
    assert not call.agent.opens
    assert call.agent.greet() is None
    assert await call.say("Hello.") == "Good day."
    assert call.offered() == ["pick_transition"]


async def test_the_start_node_decides_who_opens_whatever_the_agent_says() -> None:
    assert Call(clinic(), agent_speaks_first=False).agent.opens


async def test_the_agents_greeting_stands_in_where_the_start_node_has_none() -> None:
    silent = flow(start(greeting=None, is_literal=False), DESK, tool("booking", "bye"), end())
    assert await Call(silent, greeting_message="Hello from {{Town}}.", variables={"Town": "Ulm"}).open() == (
        "Hello from Ulm."
    )
    assert await Call(silent, "Hi there.").open() == "Hi there."


async def test_a_greeting_and_a_tool_that_follows_it_go_out_together() -> None:
    call = Call(flow(start("booking"), tool("booking", "bye"), end()), tools=[PLAIN])
    assert await call.open() == "Clinic, hello. Goodbye."
    assert [len(said.tool_calls) for said in call.said] == [1, 0]


async def test_what_the_agent_says_in_a_row_is_one_message_of_its_history() -> None:
    first = tool("booking", "desk", pre_fire_announcement="One second.")
    call = Call(
        flow(start("booking"), first, talk("desk", ("leave", "is done", "bye")), end()), "So.", tools=[PLAIN]
    )
    await call.open()
    history = [(message.role, message.text) for message in call.model.asked[0].messages]
    assert history[0] == ("assistant", "Clinic, hello. One second.")
    assert [role for role, _ in history] == ["assistant", "user"]


async def test_no_request_ends_with_the_agents_own_words() -> None:
    wishes = end(farewell="Wish a nice day.", is_literal=False)
    call = Call(flow(start("bye"), wishes), "Nice day!")
    assert await call.open() == "Clinic, hello. Nice day!"
    assert [message.role for message in call.model.asked[0].messages] == ["assistant", "user"]


# --- A conversation node


async def test_words_without_a_pick_stay_and_are_what_is_said() -> None:
    call = Call(clinic(), "We open at eight.")
    await call.open()
    assert await call.say("When do you open?") == "We open at eight."
    assert call.decisions == [("stay", True)]
    assert len(call.model.asked) == 1


async def test_a_pick_moves_on_and_the_next_step_does_the_talking() -> None:
    two = flow(
        start(), talk("desk", ("more", "wants more", "next")), talk("next", ("x", "ends", "bye")), end()
    )
    call = Call(two, pick("more", "Not said."), "Next step.")
    await call.open()
    assert await call.say("More.") == "Next step."
    assert call.said[-1].events == (
        {
            "type": "flow_eval_decision",
            "step_id": "desk",
            "decision": "more",
            "valid": True,
            "target_step_id": "next",
        },
        {
            "type": "flow_node_entered",
            "step_id": "next",
            "node_kind": "conversation",
            "name": None,
            "reason": "eval: wants more",
            "via_transition_id": "more",
        },
    )
    assert [call.offered(0), call.offered(1)] == [["pick_transition"], []]


async def test_a_model_sees_the_prompt_its_own_step_and_that_steps_ways_on() -> None:
    call = Call(clinic(), "Hm.")
    await call.open()
    await call.say("Hello?")
    system = call.asked()
    assert system.startswith("You are the desk.")
    assert "Do desk." in system
    assert "- book: wants an appointment" in system
    assert "Do done." not in system
    history = [(message.role, message.text) for message in call.model.asked[-1].messages]
    assert history == [("assistant", "Clinic, hello."), ("user", "Hello?")]
    spec = call.model.asked[-1].tools[0]
    assert spec.parameters["properties"]["transition_id"]["enum"] == ["book", "leave"]


@pytest.mark.parametrize("wrong", [pick("mars"), ("", "fly", {}), ("", "pick_transition", {})])
async def test_a_wrong_pick_is_told_and_the_model_is_asked_again_without_the_tool(wrong: Line) -> None:
    call = Call(clinic(), wrong, "Still here.")
    await call.open()
    assert await call.say("Hello?") == "Still here."
    assert [valid for _, valid in call.decisions] == [False]
    assert call.offered(1) == []
    assert call.route[-1][0] == "desk"


async def test_both_model_calls_of_a_turn_count_in_its_tokens() -> None:
    call = Call(clinic(), pick("mars"), "Still here.")
    await call.open()
    await call.say("Hello?")
    reply = call.said[-1].reply
    assert reply is not None
    assert (reply.usage.input, reply.usage.output) == (20, 10)


async def test_two_empty_answers_are_told_as_what_they_are() -> None:
    call = Call(clinic(), "", " ")
    await call.open()
    with pytest.raises(Silent, match="gave an empty answer twice"):
        await call.say("Hello?")


# --- Globals


BOSS = {
    "id": "boss",
    "type": "transfer",
    "transfer_to": "+1555",
    "transfer_message": "One moment.",
    "name": "Boss",
}


async def test_a_global_node_can_be_reached_from_every_conversation_node_but_itself() -> None:
    helper = talk(
        "help", ("leave", "is done", "bye"), is_global=True, global_jump_description="asks for help"
    )
    both = flow(start(), talk("desk", ("leave", "is done", "bye")), helper, BOSS | {"is_global": True}, end())
    call = Call(both, pick("__global_help"), "I help.", pick("__global_boss"))
    await call.open()
    await call.say("Help!")
    assert "- __global_help: help: asks for help" in call.asked(0)
    await call.say("Your boss!")
    assert "__global_help" not in call.asked(2)
    assert call.route[2:] == [("help", "global jump: help"), ("boss", "global jump: Boss")]
    assert call.said[-1].ends == "flow_transfer"


# --- Tools


async def test_a_tool_node_asks_for_arguments_with_that_tool_alone_and_calls_it_by_its_name() -> None:
    call = Call(clinic(pre_fire_announcement="One second."), pick("book"), use(day="Tuesday"), "Booked.")
    await call.open()
    assert await call.say("Tuesday, please.") == "One second. Booked."
    assert call.offered(1) == ["book"]
    spoken = call.said[1]
    assert (spoken.text, spoken.tool_calls[0].name, spoken.tool_calls[0].args) == (
        "One second.",
        "book",
        {"day": "Tuesday"},
    )
    assert call.route[2:] == [("booking", "eval: wants an appointment"), ("done", "tool success")]


async def test_the_outcome_of_a_tool_is_an_event_and_the_next_steps_model_sees_it() -> None:
    call = Call(clinic(), pick("book"), use(day="Tuesday"), "Booked.")
    call.outcomes = [ToolUse(id="", name="", result={"number": 7}, duration_ms=12)]
    await call.open()
    await call.say("Tuesday, please.")
    assert call.said[-1].events[0] == {
        "type": "flow_tool_result",
        "step_id": "booking",
        "kind": "tool_call",
        "status": "success",
        "tool_name": "book",
        "tool_id": "book",
        "args": {"day": "Tuesday"},
        "arg_sources": {"day": "ai_extract"},
        "response_preview": '{"number": 7}',
        "error": None,
        "duration_ms": 12,
    }
    assert call.model.asked[-1].messages[-1].text.endswith('{"number": 7}')


async def test_a_tool_without_parameters_needs_no_model() -> None:
    call = Call(clinic(), pick("book"), "Booked.", tools=[PLAIN])
    await call.open()
    await call.say("Book.")
    assert len(call.model.asked) == 2
    assert call.said[1].tool_calls[0].args == {}


CUSTOM = [
    {"id": "full", "label": "fully booked", "jsonpath": "$.free", "equals": "false", "next_step_id": "sorry"},
    {"id": "later", "label": "never first", "jsonpath": "$.free", "equals": "false", "next_step_id": "done"},
]


@pytest.mark.parametrize(
    ("outcome", "reached"),
    [
        ({"result": {"free": True}}, ("done", "tool success")),
        ({"result": {"free": False}}, ("sorry", "tool custom: fully booked")),
        ({"result": "plain text"}, ("done", "tool success")),
        ({"error": "HTTP 500"}, ("sorry", "tool error: HTTP 500")),
    ],
)
async def test_exactly_one_edge_is_taken(outcome: dict[str, Any], reached: tuple[str, str]) -> None:
    call = Call(clinic(custom=CUSTOM), pick("book"), "Well.", tools=[PLAIN])
    call.outcomes = [ToolUse(id="", name="", **outcome)]
    await call.open()
    await call.say("Book.")
    assert call.route[-1] == reached


async def test_an_error_without_an_error_edge_ends_the_conversation_with_a_reason() -> None:
    call = Call(flow(start(), DESK, tool("booking", "bye"), end()), pick("book"), tools=[PLAIN])
    call.outcomes = [ToolUse(id="", name="", error="HTTP 500")]
    await call.open()
    assert await call.say("Book.") == ""
    assert call.said[-1].ends == "flow_tool_error"
    assert call.events[-1]["error"] == "HTTP 500"


async def test_a_tool_that_the_agent_does_not_have_is_an_error_and_no_call() -> None:
    call = Call(clinic(), pick("book"), "Sorry.", tools=[])
    await call.open()
    await call.say("Book.")
    assert call.route[-1] == ("sorry", "tool error: The agent has no active tool 'book'.")
    assert [event["called"] for event in call.events if event["type"] == "flow_tool_result"] == [False]
    assert not any(said.tool_calls for said in call.said)


async def test_a_question_in_place_of_a_call_is_asked_of_the_caller() -> None:
    call = Call(clinic(), pick("book"), "Which day?", use(day="Tuesday"), "Booked.")
    await call.open()
    assert await call.say("Book.") == "Which day?"
    assert await call.say("Tuesday.") == "Booked."
    assert call.route[-1] == ("done", "tool success")


async def test_after_three_questions_the_error_edge_is_taken() -> None:
    call = Call(clinic(), pick("book"), "Day?", "Day??", "Day???", "Day????", "Sorry.")
    await call.open()
    assert [await call.say("Hm.") for _ in range(4)] == ["Day?", "Day??", "Day???", "Sorry."]
    assert call.route[-1] == ("sorry", "tool error: missing_required_args_after_3_attempts: day")
    assert [event["called"] for event in call.events if event["type"] == "flow_tool_result"] == [False]
    assert not any(said.tool_calls for said in call.said)


async def test_arguments_that_were_given_are_kept_while_others_are_asked_for() -> None:
    call = Call(
        clinic(), pick("book"), use(note="window", day=" "), "Which day?", use(day="Tuesday"), "Booked."
    )
    await call.open()
    assert await call.say("At the window.") == "Which day?"
    await call.say("Tuesday.")
    assert call.said[2].tool_calls[0].args == {"note": "window", "day": "Tuesday"}
    assert "window" in call.asked(3)


async def test_arguments_of_an_earlier_visit_are_not_taken_for_those_of_a_later_one() -> None:
    again = flow(start(), DESK, tool("booking", "desk"), end())
    call = Call(
        again,
        pick("book"),
        use(day="Tuesday", note="window"),
        "Done.",
        pick("book"),
        use(day="Friday"),
        "Done.",
    )
    await call.open()
    await call.say("Tuesday.")
    await call.say("Friday.")
    assert [said.tool_calls[0].args for said in call.said if said.tool_calls] == [
        {"day": "Tuesday", "note": "window"},
        {"day": "Friday"},
    ]
    ids = [said.tool_calls[0].id for said in call.said if said.tool_calls]
    assert len(set(ids)) == 2


async def test_arguments_of_a_visit_that_failed_are_not_kept_for_the_next() -> None:
    again = flow(start(), DESK, tool("booking", "bye", "desk"), end())
    questions = [use(note="window"), "Day?"] * 3
    call = Call(
        again, pick("book"), *questions, use(note="window"), "Sorry.", pick("book"), use(day="Friday")
    )
    await call.open()
    for _ in range(5):
        await call.say("Hm.")
    assert call.said[-2].tool_calls[0].args == {"day": "Friday"}


async def test_a_tool_that_needs_nothing_is_called_after_three_questions_all_the_same() -> None:
    wish = Tool.model_validate(
        {"name": "book", "parameters": {"type": "object", "properties": {"note": {"type": "string"}}}}
    )
    call = Call(clinic(), pick("book"), "Note?", "Note??", "Note???", "Note????", "Booked.", tools=[wish])
    await call.open()
    assert [await call.say("Hm.") for _ in range(4)] == ["Note?", "Note??", "Note???", "Booked."]
    assert call.route[-1] == ("done", "tool success")


async def test_a_node_never_gives_a_tool_more_time_than_the_tool_has() -> None:
    quick = PLAIN.model_copy(update={"config": {"timeout_seconds": 3}})
    call = Call(clinic(timeout_secs=5), pick("book"), "Booked.", tools=[quick])
    await call.open()
    await call.say("Book.")
    called = call.agent.tool_called(call.said[1].tool_calls[0])
    assert called is not None
    assert called.config == {"timeout_seconds": 3}


async def test_a_tool_can_be_found_by_its_id() -> None:
    nodes = config(start(), DESK, tool("booking", "bye", tool_id="tool-1"), end())
    found = read_flow(nodes, tools=["tool-1", "book"])
    call = Call(found, pick("book"), tools=[PLAIN.model_copy(update={"id": "tool-1"})])
    await call.open()
    await call.say("Book.")
    assert call.said[1].tool_calls[0].name == "book"


async def test_a_nodes_override_and_its_slots_reach_the_tool_that_is_called() -> None:
    static = {"static_parameters": [{"name": "for", "value": "{{booking.day}} {{metadata.agent_name}}"}]}
    node = tool("booking", "bye", timeout_secs=5, config_override={"method": "PUT", "payload_config": static})
    webhook = BOOK.model_copy(update={"config": {"url": "https://a.example", "method": "POST"}})
    call = Call(flow(start(), DESK, node, end()), pick("book"), use(day="{{secret.KEY}}"), tools=[webhook])
    await call.open()
    await call.say("Book.")
    called = call.agent.tool_called(call.said[1].tool_calls[0])
    assert called is not None
    assert called.config == {
        "url": "https://a.example",
        "method": "PUT",
        "timeout_seconds": 5.0,
        "payload_config": {"static_parameters": [{"name": "for", "value": " { {secret.KEY}} Desk"}]},
    }
    assert webhook.config["method"] == "POST"


async def test_an_override_of_what_is_extracted_changes_what_the_model_is_asked_for() -> None:
    override = {"payload_config": {"extraction_parameters": [{"name": "city", "description": "Where"}]}}
    node = tool("booking", "bye", config_override=override)
    call = Call(flow(start(), DESK, node, end()), pick("book"), use(city="Ulm"))
    await call.open()
    await call.say("Book.")
    assert list(call.model.asked[1].tools[0].parameters["properties"]) == ["city"]


# --- The end


async def test_an_instructed_farewell_is_asked_for_and_a_literal_one_is_not() -> None:
    wishes = end(farewell="Wish a nice day.", is_literal=False)
    call = Call(flow(start(), talk("desk", ("leave", "is done", "bye")), wishes), pick("leave"), "Nice day!")
    await call.open()
    assert await call.say("Bye.") == "Nice day!"
    assert "Wish a nice day." in call.asked()
    assert call.said[-1].ends == "flow_end"


async def test_an_end_without_a_farewell_is_silent() -> None:
    quiet = end(farewell="", is_literal=False)
    call = Call(flow(start(), talk("desk", ("leave", "is done", "bye")), quiet), pick("leave"))
    await call.open()
    assert await call.say("Bye.") == ""
    assert (call.said[-1].ends, len(call.model.asked)) == ("flow_end", 1)


async def test_a_transfer_says_its_message_as_it_stands() -> None:
    call = Call(flow(start(), talk("desk", ("up", "wants the boss", "boss")), BOSS), pick("up"))
    await call.open()
    assert await call.say("Your boss!") == "One moment."
    assert call.said[-1].ends == "flow_transfer"


async def test_arguments_metadata_and_variables_are_filled_wherever_a_flow_speaks() -> None:
    words = "{{booking.day}}, {{metadata.agent_name}}, {{metadata.plan}}, {{Town}}, {{metadata.none}}."
    bye = end(farewell=words)
    nodes = flow(start(), DESK, tool("booking", "bye"), bye, metadata={"custom_metadata_keys": ["plan"]})
    call = Call(nodes, pick("book"), use(day="Tuesday"), variables={"Town": "Ulm", "plan": "gold"})
    await call.open()
    assert await call.say("Tuesday.") == "Tuesday, Desk, gold, Ulm, ."


# --- Loops


async def test_a_flow_that_never_lets_the_caller_speak_is_stopped() -> None:
    loop = flow(start(), DESK, tool("booking", "bye", "again"), tool("again", "bye", "booking"), end())
    call = Call(loop, pick("book"), tools=[])
    await call.open()
    with pytest.raises(FlowLoop, match="'booking', 'again'") as refusal:
        await call.say("Book.")
    assert refusal.value.code == "FLOW_LOOP"


async def test_a_long_conversation_is_no_loop() -> None:
    pair = flow(
        start(),
        talk("desk", ("on", "goes on", "next"), ("leave", "is done", "bye")),
        talk("next", ("back", "b", "desk")),
        end(),
    )
    lines = [line for _ in range(20) for line in (pick("on"), "Next.", pick("back"), "Desk.")]
    call = Call(pair, *lines)
    await call.open()
    for _ in range(40):
        await call.say("On.")
    assert len(call.route) == 42


# --- Resuming, and the published flows


async def test_the_same_answers_lead_the_same_way() -> None:
    calls = [Call(clinic(), pick("book"), "Which day?", use(day="Tuesday"), "Booked.") for _ in range(2)]
    for call in calls:
        await call.open()
        await call.say("Book.")
        await call.say("Tuesday.")
    assert calls[0].events == calls[1].events
    assert [said.tool_calls for said in calls[0].said] == [said.tool_calls for said in calls[1].said]


class Wanderer(ScriptedModel):
    """Picks the transition that was taken least often, calls every tool, and says one word otherwise."""

    def __init__(self) -> None:
        super().__init__("scripted:wanderer")
        self.taken: dict[str, int] = {}

    async def complete(self, request: Any) -> Any:
        self._lines.append(self._line(request))
        return await super().complete(request)

    def _line(self, request: Any) -> Line:
        if not request.tools:
            return "Well."
        spec = request.tools[0]
        if spec.name != "pick_transition":
            return ("", spec.name, dict.fromkeys(spec.parameters["properties"], "x"))
        ids = spec.parameters["properties"]["transition_id"]["enum"]
        least = min(ids, key=lambda id: self.taken.get(id, 0))
        self.taken[least] = self.taken.get(least, 0) + 1
        return pick(least)


@pytest.mark.parametrize("name", PUBLISHED)
async def test_a_published_flow_runs_to_an_end_under_a_scripted_model(name: str) -> None:
    nodes = published(name)
    names = tools_of(nodes)
    specs = {spec["name"]: spec for spec in nodes.get("_tools", [])}
    tools = [Tool.model_validate(specs.get(tool, {"name": tool})) for tool in names]
    call = Call(read_flow(nodes, tools=names), tools=tools, model=Wanderer())
    if call.agent.opens:
        await call.open()
    for _ in range(60):
        if call.said and call.said[-1].ends:
            break
        await call.say("Yes.")
    assert call.said[-1].ends == "flow_end"
