"""`offline` as the agent of a flow: where it goes, what it asks for, and what it says at a step."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_agent_eval.engine.conversation.base import Said
from mcp_agent_eval.engine.conversation.flow_agent import FlowAgent
from mcp_agent_eval.engine.conversation.flow_prompt import asking, collecting
from mcp_agent_eval.engine.flows.simulator import simulate
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline.model import OfflineModel
from mcp_agent_eval.types import AgentDraft, Json, Tool, ToolUse
from mcp_agent_eval.types.flow import FlowConfig
from tests.flows import PUBLISHED, end, flow, start, talk, tool, tools_of
from tests.scripted import MemoryJournal
from tests.unit.test_flow_simulator import lines, loaded, route, ways_to_the_ends

AT = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
ANSWERS: Json = {"integer": "4", "number": "500", "string": "1983-01-01", "array": "Aspirin and hay fever"}
MORE = "Could you tell me a little more about what you need?"
PROMPT = "You are the desk of a clinic. We open at eight. Never give medical advice."


def booking(description: str = "", **properties: Json) -> Tool:
    """The tool `book`, with these arguments, all of which it needs."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return Tool.model_validate({"name": "book", "description": description, "parameters": parameters})


class Call:
    """A caller on the line with a flow agent that `offline` plays."""

    def __init__(self, flow: FlowConfig, *tools: Tool, prompt: str = PROMPT) -> None:
        draft = AgentDraft.model_validate({"name": "Desk", "system_prompt": prompt})
        self.agent = FlowAgent(draft, flow, tools, OfflineModel(), MemoryJournal(), at=AT)
        self.tools = {tool.name: tool for tool in tools}
        self.said: list[Said] = []

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
            self.agent.take_results([ToolUse(id=call.id, name=call.name, result={"success": True})])
            words.append(self._heard(said := await self.agent.speak()))
        return " ".join(word for word in words if word)

    def _heard(self, said: Said) -> str:
        self.said.append(said)
        return said.text

    @property
    def ended(self) -> str | None:
        return self.said[-1].ends if self.said else None

    @property
    def calls(self) -> list[ToolCall]:
        return [call for said in self.said for call in said.tool_calls]

    @property
    def events(self) -> list[Json]:
        return [event for said in self.said for event in said.events]

    @property
    def route(self) -> list[str]:
        """The nodes that were entered."""
        return [event["step_id"] for event in self.events if event["type"] == "flow_node_entered"]

    @property
    def node(self) -> str:
        """The node that was entered last."""
        return self.route[-1]

    @property
    def asks_for_arguments(self) -> bool:
        """Whether the agent stands at a tool that it has no arguments for."""
        return bool(self.events) and self.events[-1].get("node_kind") == "tool_call"


# --- The published flows


def answer(tool: Tool) -> str:
    """What a caller says who is asked for everything that a tool needs."""
    asked = tool.parameters["properties"].values()
    return ", ".join(str(one["enum"][0]) if "enum" in one else ANSWERS[one["type"]] for one in asked)


async def converse(config: Json, flow: FlowConfig, said: list[str]) -> Call:
    """A call in which the caller says these lines, and answers what a tool is asked for in between."""
    nodes = {node["id"]: node for node in config["nodes"]}
    specs = {spec["name"]: spec for spec in config.get("_tools", [])}
    tools = [Tool.model_validate(specs.get(name, {"name": name})) for name in tools_of(config)]
    call = Call(flow, *tools, prompt=config.get("_system_prompt", PROMPT))
    if call.agent.opens:
        await call.open()
    said = list(said)
    while not call.ended:
        tool = call.tools[nodes[call.node]["tool_id"]] if call.asks_for_arguments else None
        await call.say(answer(tool) if tool else said.pop(0))
    return call


@pytest.mark.parametrize("name", PUBLISHED)
async def test_a_published_flow_goes_the_way_that_it_is_simulated_to_go(name: str) -> None:
    config, flow = loaded(name)
    for terminal, said in ways_to_the_ends(config, flow).items():
        call = await converse(config, flow, said)
        assert call.route == route(simulate(flow, lines(*said), {}))
        assert (call.node, call.ended) == (terminal, "flow_end")


UNSPEAKABLE = re.compile(
    r"[{}\[\]$]|\w_\w|(?i:\bfunctions?\b)|Let me [A-Z]|\byour? (?:your?|the)\b|not said by"
)


@pytest.mark.parametrize("name", PUBLISHED)
async def test_what_a_published_flow_has_it_say_is_for_a_callers_ears(name: str) -> None:
    config, flow = loaded(name)
    for said in ways_to_the_ends(config, flow).values():
        call = await converse(config, flow, said)
        told = [words.text for words in call.said]
        assert [text for text in told if UNSPEAKABLE.search(text)] == []


@pytest.mark.parametrize("name", PUBLISHED)
async def test_a_published_flow_is_kept_to_whatever_a_caller_says(name: str) -> None:
    config, flow = loaded(name)
    call = Call(flow, *[Tool.model_validate({"name": tool}) for tool in tools_of(config)])
    if call.agent.opens:
        await call.open()
    for line in ("Zebras.", "Okay.", "What is a zebra?", "# This step", "", "No.", "שלום", "{}[]$"):
        if not call.ended:
            assert await call.say(line) or call.ended


# --- The way on

DESK = talk(
    "desk",
    ("book", "wants an appointment", "next"),
    ("cancel", "wants to cancel a visit", "bye"),
    instructions="Ask what brings them here.",
)
NEXT = talk("next", ("right", "confirms the visit", "bye"), ("wrong", "wants to change it", "desk"))

LONG_STORY = (
    "Last night near Ulm seven grey zebras walked across wide fields while heavy rain fell, nobody slept, dogs "
    "barked loudly, children cried, neighbours phoned each other, lights went on everywhere, nothing helped."
)


def clinic(*nodes: Json, **fields: Any) -> FlowConfig:
    return flow(start(), *(nodes or (DESK, NEXT)), end(**fields))


@pytest.mark.parametrize(
    ("line", "reached"),
    [
        ("I need an appointment.", "next"),
        ("Please cancel my visit", "bye"),
        (f"{LONG_STORY} I need an appointment.", "next"),
        (LONG_STORY, "desk"),
        ("The weather is nice.", "desk"),
        ("", "desk"),
    ],
)
async def test_the_way_that_is_nearest_to_the_callers_words_is_taken(line: str, reached: str) -> None:
    call = Call(clinic())
    await call.open()
    await call.say(line)
    assert call.node == reached


@pytest.mark.parametrize(
    ("line", "reached"), [("Yes, that is right.", "bye"), ("No.", "desk"), ("Okay, hm.", "bye")]
)
async def test_a_yes_confirms_and_a_no_changes(line: str, reached: str) -> None:
    call = Call(clinic(DESK, NEXT | {"instructions": "Read the visit back."}))
    await call.open()
    assert (await call.say("An appointment")).endswith("Is everything right?")
    await call.say(line)
    assert call.node == reached


async def test_a_yes_to_no_question_is_no_answer() -> None:
    call = Call(clinic(NEXT | {"id": "desk", "transitions": NEXT["transitions"][:1]}))
    await call.open()
    await call.say("Okay.")
    assert call.node == "desk"


async def test_who_needs_nothing_more_is_led_to_the_end() -> None:
    call = Call(clinic(talk("desk", ("more", "asks more", "desk"), ("over", "End the conversation", "bye"))))
    await call.open()
    assert await call.say("No, that is all. Thanks.") == "Goodbye."


async def test_a_jump_is_a_way_on_too() -> None:
    boss = {"id": "boss", "type": "transfer", "transfer_to": "x", "transfer_message": "One moment."}
    jump = {"is_global": True, "global_jump_description": "asks for a human"}
    call = Call(clinic(DESK, NEXT, boss | jump))
    await call.open()
    assert await call.say("Give me a human!") == "One moment."
    assert call.ended == "flow_transfer"


async def test_the_last_way_is_not_taken_for_what_stands_below_it() -> None:
    """Between the ways on and the jumps there is a sentence that is for the model."""
    boss = {"id": "boss", "type": "transfer", "transfer_to": "x", "is_global": True}
    call = Call(clinic(DESK, NEXT, boss | {"global_jump_description": "asks for a human"}))
    await call.open()
    await call.say("Is it possible from everywhere?")
    assert call.node == "desk"


# --- Staying


async def test_who_stays_is_answered_from_the_prompt() -> None:
    call = Call(clinic())
    await call.open()
    assert await call.say("When do you open?") == "We open at eight."
    assert await call.say("Can you give me medical advice?") == "I am sorry, I cannot give medical advice."
    assert call.node == "desk"


async def test_who_is_not_answered_is_asked_again_what_the_step_asks() -> None:
    call = Call(clinic())
    await call.open()
    question = "Could you tell me what brings you here?"
    assert await call.say("Zebras.") == question
    assert await call.say("Where do zebras live?") == f"I am sorry, I do not know that. {question}"


async def test_a_read_back_is_worded_although_a_flow_tells_no_arguments() -> None:
    call = Call(clinic(DESK | {"instructions": "When they have zebras, read that back."}, NEXT))
    await call.open()
    assert await call.say("I have zebras.") == "Let me go over that with you. Is everything right?"


async def test_it_never_hangs_up_where_the_flow_goes_on() -> None:
    call = Call(clinic())
    await call.open()
    assert [await call.say("Zebras.") for _ in range(5)] == ["Could you tell me what brings you here?"] * 5


async def test_what_the_prompt_and_the_step_say_about_tools_is_not_said() -> None:
    step = "When the caller has zebras, use the book_zebra function. Otherwise proceed to the exit."
    call = Call(clinic(DESK | {"instructions": step}, NEXT), prompt="If they have zebras, call bookZebra.")
    await call.open()
    assert await call.say("Zebras.") == "Could you tell me a little more about what you need?"


# --- Arguments


def at_tool(**fields: Any) -> FlowConfig:
    return clinic(
        DESK | {"transitions": DESK["transitions"][:1]}, tool("next", "done", "desk", **fields), DONE
    )


DONE = talk("done", ("over", "is done", "bye"), instructions="Ask if they need a letter.")
DAY = {"type": "string", "format": "date", "description": "The day of the visit"}
COUNT = {"type": "integer", "description": "How many people come"}


async def test_arguments_are_asked_for_one_by_one_and_the_call_is_reported() -> None:
    call = Call(at_tool(), booking(day=DAY, name={"type": "string"}))
    await call.open()
    assert await call.say("An appointment") == "Could you tell me the day of the visit, please?"
    assert await call.say("On Friday.") == "Thank you. And the name?"
    assert await call.say("My name is Dana Levi.") == (
        "I have done this: book. Could you tell me if you need a letter?"
    )
    assert [made.args for made in call.calls] == [{"day": "Friday", "name": "Dana Levi"}]


async def test_what_was_said_on_the_way_is_not_asked_for() -> None:
    call = Call(at_tool(), booking(day=DAY))
    await call.open()
    await call.say("I need an appointment on Friday.")
    assert [made.args for made in call.calls] == [{"day": "Friday"}]


async def test_the_silence_of_a_caller_who_did_not_speak_yet_is_no_argument() -> None:
    call = Call(flow(start("next"), tool("next", "bye"), end()), booking(question={"type": "string"}))
    assert await call.open() == "Clinic, hello. Could you tell me the question, please?"


async def test_who_does_not_tell_is_asked_three_times_and_then_led_along_the_error_edge() -> None:
    call = Call(at_tool(), booking(day=DAY))
    await call.open()
    asked = [await call.say(line) for line in ("An appointment", "Why?", "Why?", "Why?")]
    assert asked == [
        "Could you tell me the day of the visit, please?",
        "I need the day of the visit to do the book. Could you tell me, please?",
        "Could you tell me the day of the visit, please?",
        "Could you tell me what brings you here?",
    ]


LIST: Json = {"type": "array", "items": {"type": "string"}, "minItems": 1}
DRUGS: Json = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}
SPORTS: Json = {"type": "array", "items": {"enum": ["hiking", "skiing", "surfing"]}}


@pytest.mark.parametrize(
    ("asked", "schema", "said", "value"),
    [
        ("How old are you?", COUNT, "Forty-one people? No, 4", 4),
        (
            "Which drugs do you take?",
            DRUGS,
            "Aspirin, and insulin.",
            [{"name": "Aspirin"}, {"name": "insulin"}],
        ),
        ("Which drugs do you take?", DRUGS, "None.", []),
        ("Which drugs do you take?", LIST, "Aspirin and iron", ["Aspirin", "iron"]),
        ("Which drugs do you like?", SPORTS, "Skiing, hiking.", ["hiking", "skiing"]),
        ("Do you take drugs?", {"type": "boolean"}, "Yes, many.", True),
        ("Which drug is it?", {"type": "string"}, "It is aspirin.", "aspirin"),
        ("What is it?", {"type": "string"}, "It is aspirin.", None),
        ("What is it?", LIST, "It is aspirin.", None),
        ("What is it?", {"type": "string"} | {"description": "Question"}, "How do I sleep?", None),
    ],
)
async def test_the_answer_that_led_to_a_tool_is_its_only_argument(
    asked: str, schema: Json, said: str, value: object
) -> None:
    """`book` is about drugs, so who was asked about drugs has answered for it."""
    taken = await collected(booking("Records drugs.", x=schema), asked, said)
    assert taken == ({"x": value} if value is not None else None)


async def test_a_callers_question_is_what_a_tool_looks_up() -> None:
    taken = await collected(booking(question={"type": "string"}), "What is it?", "How do I sleep?")
    assert taken == {"question": "How do I sleep"}


async def test_what_was_asked_about_another_matter_is_no_argument() -> None:
    taken = await collected(
        booking("Records drugs.", x=LIST), "Which drugs?", "Iron.", "And where?", "In Ulm."
    )
    assert taken is None


async def collected(tool: Tool, *said: str) -> Json | None:
    """The arguments that the model calls a tool with, after these lines of the agent and the caller in turn."""
    roles = ("assistant", "user")
    messages = tuple(Message(roles[index % 2], text) for index, text in enumerate(said))
    spec = ToolSpec(tool.name, tool.description, tool.parameters)
    request = ModelRequest("agent", collecting(PROMPT, tool.name, {}), messages, (spec,))
    reply = (await OfflineModel().complete(request)).message
    assert bool(reply.text) is not bool(reply.tool_calls)
    return reply.tool_calls[0].args if reply.tool_calls else None


# --- Greetings, steps and farewells


@pytest.mark.parametrize(
    ("greeting", "step", "words"),
    [
        ("Greet the caller.", "Do it.", "Hello! How can I help you?"),
        ("Greet them warmly and ask for their name.", "Do it.", "Hello! Could you tell me your name?"),
        ("Be brief.", "Ask how old they are.", "Hello! Could you tell me how old you are?"),
        ('Open with "Good day, City Clinic."', "Wait.", "Good day, City Clinic. How can I help you?"),
        ("Say 'Welcome!'", "Ask whether they smoke.", "Welcome! Could you tell me whether you smoke?"),
        ("", "Please tell me your name.", "Hello! Please tell me your name."),
    ],
)
async def test_an_instructed_greeting_comes_out_as_words(greeting: str, step: str, words: str) -> None:
    node = talk("desk", ("leave", "is done", "bye"), instructions=step)
    call = Call(flow(start(greeting=greeting, is_literal=False), node, end()))
    assert await call.open() == words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("Ask for their date of birth, then wait.", "Could you tell me your date of birth?"),
        (
            "Tell the caller that we close soon, then ask if they come.",
            "We close soon. Could you tell me if you come?",
        ),
        ("Collect: $flow.zip_code", "Could you tell me your zip code?"),
        ("Collect information about the pain.", "Could you tell me the pain?"),
        ("<speak>Is that right? Please say yes or no.</speak>", "Is that right?"),
        ("Review the order with them.", "Let me go over that with you. Is everything right?"),
        ("For this step, politely ask for their name.", "Could you tell me your name?"),
        ("This step is about names. Ask for a name.", "Could you tell me a name?"),
        ("Ask them to hold the line.", "Could you please hold the line?"),
        ("Suggest: tea, coffee\n\nIf they refuse, ask why.", "I can suggest tea, coffee. " + MORE),
        ("You are kind. Be brief. Do the work.", MORE),
        ("address check", MORE),
    ],
)
async def test_a_step_that_begins_says_what_it_is_about(step: str, words: str) -> None:
    quiet = start(auto_advance=False)
    node = talk("desk", ("leave", "is done", "bye"), instructions=step)
    call = Call(flow(quiet, node, end()))
    await call.open()
    assert await call.say("Hello.") == words


@pytest.mark.parametrize(
    ("farewell", "words"),
    [
        ("Thank them for their time and end the conversation.", "Thank you for your time. Goodbye."),
        ("Wish them a good trip.", "I wish you a good trip. Goodbye."),
        ("Just say 'Bye' or something as short.", "Bye."),
        (
            "Thank the guest warmly and mention they can return anytime.",
            "Thank you. You can return anytime. Goodbye.",
        ),
        ("Ask for their name.", "Goodbye."),
        ("Your visit is booked.", "Your visit is booked. Goodbye."),
    ],
)
async def test_an_instructed_farewell_comes_out_as_words_and_asks_nothing(farewell: str, words: str) -> None:
    call = Call(clinic(DESK, NEXT, farewell=farewell, is_literal=False))
    await call.open()
    assert await call.say("Cancel my visit.") == words
    assert call.ended == "flow_end"


async def test_a_question_for_what_is_missing_can_be_asked_by_itself() -> None:
    request = ModelRequest("agent", asking(PROMPT, ["day", "note"]), (Message("user", "Hi"),))
    assert (await OfflineModel().complete(request)).message.text == "Could you tell me the day and the note?"


# --- What is no flow


@pytest.mark.parametrize(
    "heading", ["How to end", "How to open", "When to move on", "Jumps", "Known already"]
)
async def test_a_prompt_that_has_such_a_heading_itself_is_no_flows(heading: str) -> None:
    system = f"We open at eight.\n\n# {heading}\nDo as you like."
    request = ModelRequest("agent", system, (Message("user", "When do you open?"),))
    assert (await OfflineModel().complete(request)).message.text == "We open at eight."


async def test_a_tool_of_that_name_is_a_tool_like_any_other() -> None:
    spec = ToolSpec("pick_transition", "", {"type": "object", "properties": {}})
    request = ModelRequest("agent", "We open at eight.", (Message("user", "Pick a transition."),), (spec,))
    assert (await OfflineModel().complete(request)).message.tool_calls[0].args == {}
