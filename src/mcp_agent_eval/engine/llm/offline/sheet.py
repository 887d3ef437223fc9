"""A persona's system prompt as `offline` reads it: facts, wishes and manners, in the first person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mcp_agent_eval.engine.llm.offline.language import content, sentences
from mcp_agent_eval.engine.llm.offline.rephrase import as_sentence, continued, first_person, plain

_HEADING = re.compile(r"(?m)^#+ (.*)$")
_BULLET = re.compile(r"^\s*[-*•]\s+")
_PAIR = re.compile(r"([\w ]{2,30}): (.+)")
_DIRECTION = re.compile(
    r"(?i)^(?:when|only|never|do not|don['’]t|stay|be|keep|start|open|begin|you (?:will|should|must|only))\b"
    r"|\b(?:if|unless|only when)\b"
)
_ASKING = re.compile(
    r"(?i)(?:(?:then|also|finally|afterwards|next),? )?(?:you (?:also |then )?)?"
    r"asks? (?:(?:them|the agent) )?"
)
_OF_ANOTHER = re.compile(
    r"(?i:(?:the )?(?:persona|caller|customer|user|client|guest|patient|tenant|he|she|they)) (\w+)"
    r"|[A-Z][\w'’]+ (wants|needs|is|has|had|calls|called|would|asks|was|hopes|tries)\b"
)
_YOURS = {"his": "your", "her": "your", "their": "your", "himself": "yourself", "herself": "yourself"}
_THEIRS = re.compile(r"\b(?:his|her|their|himself|herself)\b")
_DETERMINED = re.compile(r"(?i)(?:a|an|the|some|your|his|her|their)\b")
_THING = re.compile(r"(?:to|an?|the|some|my) ")
_TOLD_OF = re.compile(r"(?i)(?:you|the|he|she|they|your|i)\b")
_PATIENCE = re.compile(r"(?i)give up (?:only )?after (\w+)")
_COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_OBJECTIONS = (
    (re.compile(r"(?i)only after you were told|reluctan|hesita"), "Why do you need to know that?"),
    (re.compile(r"(?i)\bdodge|uncooperative|refuse|unwilling"), "I would rather not say."),
    (re.compile(r"(?i)distrust|suspicious|hostile"), "Why should I tell you that?"),
)
_TERSE = re.compile(r"(?i)\bfew words\b|\bterse\b|\bone short sentence\b")
_MARKER = re.compile(r"[\"“]([^\"”]+)[\"”]")
_LONGEST_OPENING = 30


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a persona has to play with. `story` is why it calls, `wishes` what it brings up one by one."""

    story: tuple[str, ...]
    wishes: tuple[str, ...]
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    patience: int
    objection: str
    terse: bool
    end_marker: str

    @classmethod
    def of(cls, system: str) -> Sheet:
        """The sheet behind a system prompt, whose sections begin with `# ` headings."""
        return _read(system)

    def opening(self) -> str:
        """The reason for calling, in one sentence or two."""
        told: list[str] = []
        for line in self.story[: 1 if self.terse else 2]:
            if told and len(" ".join([*told, line]).split()) > _LONGEST_OPENING:
                break
            told.append(line)
        return f"Hi. {' '.join(told) or 'I am calling about something you could help me with.'}"

    def insistence(self) -> str:
        """The heart of the matter, once more."""
        heart = next(iter(self.wishes or self.story), "I still need your help.")
        return f"As I said, {continued(heart)}"

    def insists(self, line: str) -> bool:
        """Whether a line only insisted."""
        return line == self.insistence()


@lru_cache(maxsize=256)
def _read(system: str) -> Sheet:
    sections = _sections(system)
    manners = sections.get("how you behave", "")
    told = _lines(sections.get("why you are calling") or sections.get("", ""))
    wanted = _lines(sections.get("what you want", ""))
    patience = _PATIENCE.search(manners)
    return Sheet(
        story=tuple(_own(line) for line in told if not (_DIRECTION.search(line) or _ASKING.match(line))),
        wishes=tuple(_wish(line) for line in [*(line for line in told if _ASKING.match(line)), *wanted[1:]]),
        known=tuple(_own(_pair(line)) for line in _lines(sections.get("what you know", ""))),
        unknown=tuple(_lines(sections.get("what you do not know", ""))),
        patience=_COUNTS.get(patience[1].lower(), 3) if patience else 3,
        objection=next((line for pattern, line in _OBJECTIONS if pattern.search(manners)), ""),
        terse=_TERSE.search(manners) is not None,
        end_marker=_marker(sections.get("how to end", "")),
    )


def _sections(system: str) -> dict[str, str]:
    """Texts by heading in lower case; what stands before the first heading is under ""."""
    pieces = _HEADING.split(system)
    return {"": pieces[0]} | {
        name.lower(): text for name, text in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def _lines(text: str) -> list[str]:
    """The bullets or sentences of a section."""
    return [_BULLET.sub("", line) for line in sentences(text) if content(line) or line.strip("- ")]


def _pair(line: str) -> str:
    pair = _PAIR.match(line)
    return f"your {pair[1].lower()} {'are' if pair[1].endswith('s') else 'is'} {pair[2]}" if pair else line


def _own(line: str) -> str:
    """A line of the prompt as the persona says it of itself."""
    if other := _OF_ANOTHER.match(line):
        rest = _THEIRS.sub(lambda it: _YOURS[it[0]], line[other.end() :])
        line = f"You {plain(other[1] or other[2])}{rest}"
    return as_sentence(first_person(line))


def _wish(line: str) -> str:
    """A goal as the persona brings it up."""
    if asking := _ASKING.match(line):
        return as_sentence("I also want to " + _asked(first_person(line[asking.end() :])))
    if _TOLD_OF.match(line) and not _DETERMINED.match(line):
        return _own(line)
    wanted = first_person(line[:1].lower() + line[1:])
    return as_sentence(f"I want {wanted}" if _THING.match(wanted) else f"I want to {wanted}")


def _asked(question: str) -> str:
    question = re.sub(r"\b(?:they|them)\b", "you", question)
    return f"ask {question}" if re.match(r"(?:about|for)\b", question) else f"know {question}"


def _marker(text: str) -> str:
    return marker[1] if (marker := _MARKER.search(text)) else ""
