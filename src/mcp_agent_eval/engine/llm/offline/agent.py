"""The agent as `offline` plays it: it does what the prompt's instructions say, one step at a time.

It looks at the conversation so far, tries its moves in a fixed order and makes the first one that applies.
So a line added to the prompt changes the conversation where that line begins to apply, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline.arguments import Exchange, gather
from mcp_agent_eval.engine.llm.offline.instructions import Instruction
from mcp_agent_eval.engine.llm.offline.language import content, is_farewell, questions, ranked, spaced
from mcp_agent_eval.engine.llm.offline.rephrase import joined
from mcp_agent_eval.engine.llm.offline.scene import Scene, has_slot
from mcp_agent_eval.engine.llm.offline.shape import as_object, fill
from mcp_agent_eval.engine.llm.offline.wording import cannot, deed, told
from mcp_agent_eval.types import Json

_DISTINCT = 1.0
"""The score of one shared word that no other option has."""

ANYTHING_ELSE = "Is there anything else I can help you with?"
"""Asked after something was done."""
TELL_ME_MORE = "Could you tell me a little more about what you need?"
"""Asked while nothing was done yet."""

_DO_NOT_KNOW = "I am sorry, I do not know that."
_ASKED = re.compile(r"\bCould you tell me\b|^Thank you\. And ")
_GOODBYE = "Thank you for calling. Goodbye."
_WONDERING = re.compile(r"(?i)\?|\bto (?:know|ask|find out)\b|\bwonder")
_DONE = re.compile(r"(?i)\b(?:that(?: is|['’]s| will be|['’]ll be) all|nothing else)\b")
_ENDS = re.compile(r"(?:end|hang ?up|terminate|finish|close|disconnect)\b")
_PARTING = content("goodbye bye end ending hang finished done finish leave")


def answer(request: ModelRequest) -> Message:
    """The agent's next message: words, a tool call, or both."""
    scene = Scene.of(request)
    return next(message for move in _MOVES if (message := move(scene)) is not None)


def reply(scene: Scene) -> Message | None:
    """What there is to answer a caller with while nothing is to be done; None where nothing fits."""
    return next((message for move in _REPLIES if (message := move(scene)) is not None), None)


def takes_leave(text: str) -> bool:
    """Whether a caller says goodbye or needs nothing more."""
    return bool(is_farewell(text) or _DONE.search(text))


def regret(scene: Scene) -> str:
    """What to say first when a question cannot be answered, and nothing when there was no question."""
    return _DO_NOT_KNOW if _WONDERING.search(scene.newest) else ""


def question(scene: Scene, tool: str, subject: str) -> str:
    """Ask for an argument, and say why when asked again."""
    return next(_unasked(scene, tool, subject), f"Could you tell me {subject}, please?")


def _report(scene: Scene) -> Message | None:
    """Say what the tools came to, and do what is due after that."""
    if not scene.fresh:
        return None
    due = [it for outcome in scene.fresh for it in _around(outcome.moment, scene, outcome.call.name)]
    worded = any(has_slot(it.speech) for it in due)
    reports = () if worded else (told(outcome.call.name, outcome.fields()) for outcome in scene.fresh)
    lines = joined(*reports, *(_line(scene, it) for it in due))
    for tool in (it.tool for it in due if it.tool):
        used = _use(scene, tool)
        return replace(used, text=joined(lines, used.text))
    return _say(lines if lines.endswith("?") else joined(lines, ANYTHING_ELSE))


def _open(scene: Scene) -> Message | None:
    """Greet a caller who has not spoken yet."""
    if scene.exchanges:
        return None
    greeting = next((_line(scene, it) for it in scene.playbook.at("first")), "")
    return _say(greeting or "Hello, how can I help you?")


def _begin(scene: Scene) -> Message | None:
    """Say what always comes first."""
    return _first_open(scene, scene.playbook.at("first"))


def _part(scene: Scene) -> Message | None:
    """Let a caller go who takes their leave or needs nothing more."""
    if not takes_leave(scene.newest):
        return None
    closing = [it for it in scene.playbook.at("if") if it.about & _PARTING] + scene.playbook.at("last")
    return _first_open(scene, closing) or _hang_up(scene)


def _follow(scene: Scene) -> Message | None:
    """Do what the prompt says about what the caller just brought up; saying something goes before doing."""
    matches = _matches(scene, scene.exchanges[-1])
    strong = [it for it, score in matches if score >= _DISTINCT and scene.is_open(it)]
    for instruction in sorted(strong, key=lambda it: it.tool is not None):
        return _with_pending(scene, _perform(scene, instruction), instruction)
    return None


def _inform(scene: Scene) -> Message | None:
    """Answer a question with a sentence of the prompt."""
    fact = _fact(scene) if _WONDERING.search(scene.newest) else None
    return _with_pending(scene, _say(fact)) if fact else None


def _resume(scene: Scene) -> Message | None:
    """Go on with what the caller brought up earlier."""
    return _pending(scene)


def _go_on(scene: Scene) -> Message | None:
    """Take the next step of a script, or tell something that fits."""
    if step := _first_open(scene, scene.playbook.at("next")):
        return step
    fact = _fact(scene)
    return _say(fact) if fact else None


def _wind_up(scene: Scene) -> Message:
    """Nothing is left: ask what there is, then end."""
    line = TELL_ME_MORE if len(scene.exchanges) == 1 else ANYTHING_ELSE
    if sorry := regret(scene):
        line = joined(sorry, ANYTHING_ELSE)
    if not scene.has_said(line):
        return _say(line)
    return _first_open(scene, scene.playbook.at("last")) or _hang_up(scene)


_MOVES: tuple[Callable[[Scene], Message | None], ...] = (
    _report,
    _open,
    _begin,
    _part,
    _follow,
    _inform,
    _resume,
    _go_on,
    _wind_up,
)
_REPLIES = (_begin, _part, _follow, _inform, _resume)


def _perform(scene: Scene, instruction: Instruction) -> Message:
    """Say the line of an instruction, once; use its tool. A question waits for its answer first."""
    line = "" if scene.has_said(instruction.speech) else _line(scene, instruction)
    if instruction.tool is None or line.endswith("?"):
        return _say(line)
    return _use(scene, instruction.tool, line)


def _use(scene: Scene, tool: str, line: str = "") -> Message:
    """Call a tool, once its arguments are known and what comes before it was said."""
    arguments = gather(scene.tools[tool], scene.exchanges)
    known = arguments.known
    ending = _is_ending(scene.tools[tool])
    if ending:
        known = _completed(scene.tools[tool], known)
    elif arguments.missing:
        return _say(joined(line, _ask(scene, tool, arguments.missing[0])))
    for instruction in _around("before", scene, tool):
        return _say(joined("" if ending else line, _line(scene, instruction, tool)))
    return Message("assistant", line, (ToolCall(f"offline-{len(scene.outcomes) + 1}", tool, known),))


def _ask(scene: Scene, tool: str, subject: str) -> str:
    """Ask for an argument, say why when asked again, then give up."""
    give_up = f"{cannot(tool)} {subject.partition(':')[0]}. {ANYTHING_ELSE}"
    return next(_unasked(scene, tool, subject), give_up)


def _unasked(scene: Scene, tool: str, subject: str) -> Iterator[str]:
    """The questions for an argument that were not put yet."""
    first, another = f"Could you tell me {subject}, please?", f"Thank you. And {subject}?"
    again = f"I need {subject.partition(':')[0]} to {deed(tool)}. Could you tell me, please?"
    if not (scene.has_said(first) or scene.has_said(another)):
        yield another if any(_ASKED.search(line) for line in scene.said) else first
    if not scene.has_said(again):
        yield again


def _completed(tool: ToolSpec, known: Json) -> Json:
    """Arguments for hanging up: nobody is asked for these."""
    return as_object(fill(tool.parameters, "The call is over.", True)) | known


def _hang_up(scene: Scene) -> Message:
    """Say goodbye, with the tool that ends the call where there is one."""
    for name, tool in scene.tools.items():
        if _is_ending(tool) and not scene.has_called(name):
            return _use(scene, name, _GOODBYE)
    return _say(_GOODBYE)


def _is_ending(tool: ToolSpec) -> bool:
    name = spaced(tool.name)
    return bool(_ENDS.match(name) and ("call" in name or "conversation" in name or " " not in name))


def _matches(scene: Scene, exchange: Exchange) -> Iterator[tuple[Instruction, float]]:
    """Instructions whose condition shares words with what the caller said, best first.

    Who answers a question for a detail repeats words of it, and does not bring up a new matter with them.
    """
    instructions = scene.playbook.at("if")
    echoed = content(exchange.asked) if _ASKED.search(exchange.asked) else frozenset[str]()
    for score, index in ranked(content(exchange.answered) - echoed, [it.about for it in instructions]):
        yield instructions[index], score


def _pending(scene: Scene, besides: Instruction | None = None) -> Message | None:
    """What is still open of what the caller brought up, the newest first."""
    for exchange in reversed(scene.exchanges):
        for rank, (instruction, score) in enumerate(_matches(scene, exchange)):
            wanted = rank == 0 or score >= _DISTINCT
            if wanted and instruction is not besides and scene.is_open(instruction):
                return _perform(scene, instruction)
    return None


def _with_pending(scene: Scene, message: Message, done: Instruction | None = None) -> Message:
    """A statement leads on to what is still open; a question or a tool call stands alone."""
    if message.tool_calls or message.text.endswith("?"):
        return message
    pending = _pending(scene, done)
    return message if pending is None or pending.tool_calls else _say(joined(message.text, pending.text))


def _around(when: Literal["before", "after", "failed"], scene: Scene, tool: str) -> list[Instruction]:
    """What is due before or after a tool is used, and was not done yet."""
    named = content(spaced(tool))
    if _is_ending(scene.tools[tool]):
        named |= _PARTING
    moments = scene.playbook.at(when)
    return [it for it in moments if it.about & named and it.tool != tool and scene.is_open(it)]


def _first_open(scene: Scene, instructions: list[Instruction]) -> Message | None:
    return next((_perform(scene, it) for it in instructions if scene.is_open(it)), None)


def _line(scene: Scene, instruction: Instruction, tool: str | None = None) -> str:
    return scene.filled(instruction.speech, tool or instruction.tool)


def _fact(scene: Scene) -> str | None:
    """The sentence of the prompt that is nearest to what the caller said, if it was not told yet."""
    facts = scene.playbook.facts
    about = content(questions(scene.newest) or scene.newest)
    for _, index in ranked(about, [content(fact) for fact in facts]):
        if not scene.has_said(facts[index]):
            return facts[index]
    return None


def _say(text: str) -> Message:
    return Message("assistant", text or TELL_ME_MORE)
