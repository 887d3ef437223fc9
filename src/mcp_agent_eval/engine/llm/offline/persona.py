"""The caller as `offline` plays it: it says why it calls, answers with one fact at a time, and says goodbye.

It lives from the sections of the persona's system prompt. The agent's words reach it as `user`, its own are
`assistant`. Like the agent it makes the first move that applies, and it never speaks more than eight times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec
from mcp_agent_eval.engine.llm.offline.language import Stems, content, is_farewell, questions, ranked
from mcp_agent_eval.engine.llm.offline.rephrase import continued, joined
from mcp_agent_eval.engine.llm.offline.shape import as_object, fill
from mcp_agent_eval.engine.llm.offline.sheet import Sheet

_MOST_REPLIES = 8

_DO_NOT_KNOW = "I am sorry, I do not know that."
_THAT_IS_ALL = "No, that is all. Thank you, goodbye."
_SETTLED = "Thank you, that is all I needed. Goodbye."
_GIVE_UP = "This is not getting me anywhere. Goodbye."
_PARTING = "Thank you. Goodbye."

_YES_NO = re.compile(
    r"(?i)(?:(?:so|and|then|well|okay),? )?(?:would|shall|should|is|are|does|do|did|can"
    r"|could|may|will|have|has|was)\b"
)
_INQUIRY = re.compile(
    r"(?i)\b(?:could|can|would|will) you (?:please )?(?:tell|give|share|repeat|spell|provide|describe)\b"
    r"|\b(?:may|can|could) i (?:\w+ )?(?:have|get|know|take|ask)\b|\bdo you (?:know|have)\b"
    r"|\b(?:wh(?:at|ich|en|ere|o)|how)\b"
)
_OPEN_QUESTION = re.compile(
    r"(?i)\btell me (?:a (?:little|bit) )?more\b|\bhow (?:can|may) i help\b|\bwhat you need\b"
    r"|\bwhat (?:happened|(?:the|your) (?:problem|issue|matter|reason))\b|\bdescribe\b"
)
_ANYTHING_ELSE = re.compile(r"(?i)\b(?:anything|something|what) else\b|\bwhat more\b")
_CONFIRMING = re.compile(r"(?i)\b(?:right|correct|confirm)\b")
_WONDERING = re.compile(r"\?|\bI (?:also )?want to (?:know|ask|find out)\b")
_FINISHED = re.compile(
    r"(?i)\b(?:have|has|is|are|been|'ve|you're) (?:now |all |been )?(?:\w+ed|done|set|sent|made)\b"
    r"|\bconfirmation\b"
)
_KINDS = {
    "day date": re.compile(
        r"(?i)\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\btomorrow\b|\d{4}-\d\d-\d\d"
    ),
    "time hour": re.compile(r"(?i)\b\d{1,2} ?(?:am|pm)\b|\b\d{1,2}:\d\d\b|\b(?:noon|morning|afternoon)\b"),
    "phone number reach": re.compile(r"\d[\d -]{5,30}\d"),
    "email mail address": re.compile(r"\S@\S"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What the persona knows of itself, what it said, and what the agent just said."""

    sheet: Sheet
    said: tuple[str, ...]
    heard: str
    before: tuple[str, ...]

    @classmethod
    def of(cls, request: ModelRequest) -> Moment:
        """The moment that a request describes."""
        own = [index for index, message in enumerate(request.messages) if message.role == "assistant"]
        since = own[-1] + 1 if own else 0
        heard = [_bare(message.text) for message in request.messages[since:] if message.role == "user"]
        before = [_bare(message.text) for message in request.messages[:since] if message.role == "user"]
        said = [message.text for message in request.messages if message.role == "assistant"]
        return cls(Sheet.of(request.system), tuple(said), joined(*heard), tuple(before))

    @property
    def question(self) -> str:
        """What the agent asks, or ""."""
        return questions(self.heard)

    @property
    def topic(self) -> Stems:
        """What the agent asks about; a bare `Could you tell me?` is about what was said before it."""
        return content(self.question) or (content(self.heard) if self.question else frozenset())

    @property
    def wants_to_know(self) -> bool:
        """Whether the persona asked something itself, so that a statement is an answer."""
        return bool(self.said) and _WONDERING.search(self.said[-1]) is not None

    def has_said(self, line: str) -> bool:
        """Whether the persona used these very words."""
        return any(line in own for own in self.said)


@dataclass(frozen=True, slots=True)
class Line:
    """What the persona says; `ends` when it hangs up with it, `gives_up` when it got nothing."""

    text: str
    ends: bool = False
    gives_up: bool = False


def answer(request: ModelRequest) -> Message:
    """The persona's next message, with the end signal on its last one."""
    moment = Moment.of(request)
    line = next(line for move in _MOVES if (line := move(moment)) is not None)
    return _signalled(line, moment.sheet, request.tools) if line.ends else Message("assistant", line.text)


def _open(moment: Moment) -> Line | None:
    """Say why one calls."""
    return None if moment.said else Line(moment.sheet.opening())


def _part(moment: Moment) -> Line | None:
    """Go when the other side goes, or when it has been long enough."""
    if is_farewell(moment.heard) and not moment.question:
        return Line(_PARTING, ends=True)
    return Line(_PARTING, ends=True) if len(moment.said) >= _MOST_REPLIES - 1 else None


def _lose_patience(moment: Moment) -> Line | None:
    """Give up on somebody who repeats themselves, or after answers that led nowhere."""
    repeated = moment.before.count(moment.heard) >= 2
    unhelpful = sum(line in _STALLED or moment.sheet.insists(line) for line in moment.said)
    if repeated or unhelpful >= moment.sheet.patience:
        return Line(_GIVE_UP, ends=True, gives_up=True)
    return None


def _wish_on(moment: Moment) -> Line | None:
    """Bring up the next wish when asked what else there is, or end."""
    return _next_wish(moment, _THAT_IS_ALL) if _ANYTHING_ELSE.search(moment.question) else None


def _dodge(moment: Moment) -> Line | None:
    """Do not answer the first personal question, where that is how one behaves."""
    objection = moment.sheet.objection
    if not objection or moment.has_said(objection) or _fact(moment, fresh=True) is None:
        return None
    return Line(objection)


def _tell(moment: Moment) -> Line | None:
    """Answer with the fact that was asked for."""
    fact = _fact(moment, fresh=True)
    return Line(fact) if fact else None


def _agree(moment: Moment) -> Line | None:
    """Take an offer, confirm what is read back."""
    if _CONFIRMING.search(moment.question):
        return Line("Yes, that is right.")
    offered = _YES_NO.match(moment.question) and not _INQUIRY.search(moment.question)
    return Line("Yes, that works for me.") if offered else None


def _repeat(moment: Moment) -> Line | None:
    """Answer once more what was answered before."""
    fact = _fact(moment, fresh=False) if moment.question else None
    repeated = f"As I said, {continued(fact)}" if fact else ""
    return Line(repeated) if repeated and not moment.has_said(repeated) else None


def _elaborate(moment: Moment) -> Line | None:
    """Asked something else: tell more of the story, or admit that one does not know."""
    if not moment.question:
        return None
    if not _OPEN_QUESTION.search(moment.question):
        return Line(_DO_NOT_KNOW)
    more = (line for line in moment.sheet.story if not _covered(line, moment.said))
    return Line(next(more, moment.sheet.insistence()))


def _settle(moment: Moment) -> Line | None:
    """Take a statement that is an answer, or something done, and bring up what is left."""
    line = _next_wish(moment, _SETTLED)
    return line if moment.wants_to_know or _FINISHED.search(moment.heard) or not line.ends else None


def _wait(moment: Moment) -> Line:
    """Nothing came of it yet: wait, then insist."""
    return Line(next((line for line in _STALLED if not moment.has_said(line)), moment.sheet.insistence()))


_STALLED = ("Okay.", "All right, and what happens now?")
_MOVES: tuple[Callable[[Moment], Line | None], ...] = (
    _open,
    _part,
    _lose_patience,
    _wish_on,
    _dodge,
    _tell,
    _agree,
    _repeat,
    _elaborate,
    _settle,
    _wait,
)


def _next_wish(moment: Moment, otherwise: str) -> Line:
    """The next thing that this persona wants and did not bring up yet, or else its goodbye."""
    for wish in moment.sheet.wishes:
        if not _covered(wish, moment.said):
            return Line(wish)
    return Line(otherwise, ends=True)


def _covered(line: str, said: Sequence[str]) -> bool:
    """Whether most of a line's words were spoken before."""
    meaning = content(line)
    return 2 * len(meaning & content(" ".join(said))) > len(meaning)


def _fact(moment: Moment, *, fresh: bool) -> str | None:
    """The known fact that a question is about; None when something unknown is nearer to it."""
    known = [fact for fact in moment.sheet.known if fresh is not any(fact in line for line in moment.said)]
    options = [_with_kinds(fact) for fact in known] + [content(item) for item in moment.sheet.unknown]
    best = ranked(moment.topic, options)
    return known[best[0][1]] if best and best[0][1] < len(known) else None


def _with_kinds(fact: str) -> Stems:
    """A fact's words, and what one would call its parts: 3 pm is a time."""
    return content(joined(fact, *(kind for kind, look in _KINDS.items() if look.search(fact))))


def _signalled(line: Line, sheet: Sheet, tools: Sequence[ToolSpec]) -> Message:
    """A last message with the end signal that was agreed on: a tool where one is offered, else the marker."""
    for tool in tools:
        if tool.name.startswith("end_"):
            args = fill(tool.parameters, line.text, not line.gives_up)
            return Message("assistant", line.text, (ToolCall("offline-end", tool.name, as_object(args)),))
    return Message("assistant", joined(line.text, sheet.end_marker))


def _bare(text: str) -> str:
    """The agent's words without tags around them."""
    return re.sub(r"</?\w[^<>]{0,40}>", " ", text).strip()
