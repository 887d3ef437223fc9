"""The agent of a flow as `offline` plays it: it picks the way on that the caller's words are nearest to.

A flow's request is about one thing, which its prompt says under headings: to open, to begin a step, to move on or
stay, to find a tool's arguments, or to end. The way is picked by the rule by which a flow is simulated; where that
finds none, the caller's sentences are tried one by one, and what a yes, a no or a goodbye means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline import agent, directions, values
from mcp_agent_eval.engine.llm.offline.arguments import Exchange, collect
from mcp_agent_eval.engine.llm.offline.language import questions, sentences
from mcp_agent_eval.engine.llm.offline.phrasing import READ_BACK
from mcp_agent_eval.engine.llm.offline.rephrase import joined, listed
from mcp_agent_eval.engine.llm.offline.scene import Scene
from mcp_agent_eval.engine.llm.offline.wording import told
from mcp_agent_eval.engine.matching.keywords import closest, keywords
from mcp_agent_eval.types import Json

_PICK = "pick_transition"
_PICKED = "transition_id"
_OPEN, _STEP, _CLOSE, _MOVE = "How to open", "This step", "How to end", "When to move on"
_JUMPS = "Jumps"

_GREET = r"(?=\nThe conversation begins\.)"
_PART = r"(?=\nThis is the last thing that you say\.)"
_HEADING = re.compile(rf"(?m)^# ({_STEP}|{_OPEN}{_GREET}|{_CLOSE}{_PART}|{_MOVE}|{_JUMPS}|Known already)\n")
_WAY = re.compile(r"(?ms)^- ([^\n]+?): (.*?)(?=\n- |\Z)")
_ASK = re.compile(r"Ask the caller, in one short question, for: (.+)\.$")
_COLLECT = "Call {tool} with what the caller has told you."
_RESULT = re.compile(r"(?s)\[Result of the tool (.+?), not said by the caller\]\n(.*)")
_LEAVES = "end ends goodbye done conversation"
_AGREES = "yes confirm confirms confirmed confirmation correct proceed"
_DECLINES = "no not wrong change revise"
_STILL = "(The caller says nothing yet.)"


@dataclass(frozen=True, slots=True)
class Step:
    """A flow's request: the agent's own prompt, and what stands under each heading that follows it."""

    base: str
    sections: dict[str, str]
    request: ModelRequest

    @classmethod
    def of(cls, request: ModelRequest) -> Step | None:
        """The step that a request is about; None when it is no flow's."""
        base, *pieces = _HEADING.split(request.system)
        sections = {name: text.strip() for name, text in zip(pieces[::2], pieces[1::2], strict=True)}
        step = cls(base, sections, request)
        return step if step.picks or step.collects or step.speaks else None

    @property
    def picks(self) -> bool:
        """Whether it is about the way on."""
        return _MOVE in self.sections and [tool.name for tool in self.request.tools] == [_PICK]

    @property
    def collects(self) -> ToolSpec | None:
        """The tool that arguments are wanted for."""
        for tool in self.request.tools:
            return tool if self.instructions.startswith(_COLLECT.format(tool=tool.name)) else None
        return None

    @property
    def speaks(self) -> bool:
        """Whether only words are wanted."""
        return not self.request.tools and not self.sections.keys().isdisjoint((_OPEN, _STEP, _CLOSE))

    @property
    def instructions(self) -> str:
        """What is to be done in this step."""
        return self.sections.get(_STEP, "")

    def scene(self, *tools: ToolSpec) -> Scene:
        """The conversation so far, for who has these tools and the parts of the prompt that a caller may hear."""
        heard = "\n\n".join(map(directions.heard_by_the_caller, (self.base, self.instructions)))
        messages = tuple(_history(self.request.messages))
        return Scene.of(replace(self.request, system=heard, messages=messages, tools=tools))


def answer(step: Step) -> Message:
    """What the model of a flow's agent would answer: words, a pick, or the call of a tool."""
    if tool := step.collects:
        return _collected(step, tool)
    if step.picks:
        return _picked(step) or _stay(step)
    return Message("assistant", _words(step))


def _picked(step: Step) -> Message | None:
    """The nearest way on, if one is near enough."""
    ways = [way for name in (_MOVE, _JUMPS) for way in _WAY.findall(step.sections.get(name, ""))]
    meant = [keywords(when) for _, when in ways]
    found = (closest(keywords(text), meant) for text in _meanings(step.scene().exchanges))
    best = next((index for index in found if index is not None), None)
    return None if best is None else _call(_PICK, {_PICKED: ways[best][0]})


def _meanings(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """What can be compared with a way on: the caller's line, its sentences, and what it comes to as an answer."""
    for exchange in exchanges[-1:]:
        line = exchange.answered
        yield line
        yield from sentences(line)
        if agent.takes_leave(line):
            yield _LEAVES
        elif questions(exchange.asked) and values.agrees(line):
            yield _AGREES
        elif questions(exchange.asked) and values.declines(line):
            yield _DECLINES


def _stay(step: Step) -> Message:
    """Answer the caller from the prompt, or else say again what the step is about."""
    scene = step.scene()
    reply = agent.reply(scene)
    if reply is None:
        return Message("assistant", joined(agent.regret(scene), _entrance(step, agent.TELL_ME_MORE)))
    return replace(reply, text=reply.text.replace(READ_BACK, directions.CONFIRM))


def _words(step: Step) -> str:
    """Words at the beginning, at a step or at the end."""
    if asked := _ASK.match(step.instructions):
        return directions.inquiry(listed(f"the {name}" for name in asked[1].split(", ")))
    if _CLOSE in step.sections:
        return directions.closing(_after_first_line(step.sections[_CLOSE]))
    if _OPEN in step.sections:
        return directions.opening(_after_first_line(step.sections[_OPEN]), step.instructions)
    done = joined(*(told(outcome.call.name, outcome.fields()) for outcome in step.scene().fresh))
    return joined(done, _entrance(step, agent.ANYTHING_ELSE if done else agent.TELL_ME_MORE))


def _entrance(step: Step, question: str) -> str:
    """What the step says, and this question where it asks none: the caller has to know that it is their turn."""
    words = directions.entrance(step.instructions)
    return words if directions.asks(words) else joined(words, question)


def _collected(step: Step, tool: ToolSpec) -> Message:
    """The tool's call, or a question for the first thing that is missing."""
    scene = step.scene(tool)
    arguments = collect(tool, scene.exchanges)
    if arguments.missing:
        return Message("assistant", agent.question(scene, tool.name, arguments.missing[0]))
    return _call(tool.name, arguments.known)


def _call(tool: str, arguments: Json) -> Message:
    return Message("assistant", "", (ToolCall("offline-1", tool, arguments),))


def _after_first_line(section: str) -> str:
    """Without the sentence that stands under this heading in every flow."""
    return section.partition("\n")[2]


def _history(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, with tools and their results as such, and without what only fills a turn."""
    for number, message in enumerate(messages):
        if result := _RESULT.fullmatch(message.text) if message.role == "user" else None:
            call = ToolCall(f"offline-{number}", result[1], {})
            yield Message("assistant", tool_calls=(call,))
            yield Message("tool", result[2], tool_call_id=call.id)
        elif message.text != _STILL:
            yield message
