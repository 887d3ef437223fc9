"""What the offline agent says at a step of a flow: the step's instructions, put into words.

    Warmly greet the guest and ask how many people come.   Could you tell me how many people come?
    Review the order with them.                            Let me go over that with you. Is everything right?
    Thank them for their time and end the conversation.    Thank you for your time.
    We are open until seven.                               is said as it stands, as is a question to the caller

What is about functions, other steps or a later moment is not for the caller's ears.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from mcp_agent_eval.engine.llm.offline.instructions import CONDITIONAL, speech_in, units
from mcp_agent_eval.engine.llm.offline.language import is_farewell, spaced
from mcp_agent_eval.engine.llm.offline.phrasing import FORBIDDEN, STATEMENT, is_of_the_agent
from mcp_agent_eval.engine.llm.offline.rephrase import as_sentence, joined, to_the_caller

CONFIRM = "Let me go over that with you. Is everything right?"
_HELLO = "Hello!"
_HELP = "How can I help you?"
_GOODBYE = "Goodbye."
_MOST_STATEMENTS = 2


@lru_cache(maxsize=64)
def heard_by_the_caller(text: str) -> str:
    """The instructions that are not about functions or other steps, one to a paragraph."""
    return "\n\n".join(unit for unit in units(_readable(text)) if not _TECHNICAL.search(unit))


def opening(text: str, step: str) -> str:
    """A greeting that follows these instructions, and goes on with the first step."""
    said = _until_question([*_lines(text), *_lines(step)])
    hello = "" if _GREETING.match(said) else _HELLO
    return joined(hello, said, "" if asks(said) else _HELP)


def entrance(text: str) -> str:
    """What is said when a step begins: up to its first question; nothing where it says nothing to a caller."""
    return _until_question(_lines(text))


def closing(text: str) -> str:
    """A farewell that follows these instructions. It asks nothing any more."""
    said = joined(*(line for line in _lines(text) if not asks(line)))
    return said if is_farewell(said) else joined(said, _GOODBYE)


def asks(text: str) -> bool:
    """Whether a text ends with something that the caller is to answer."""
    return text.endswith("?") or _REQUEST.search(text) is not None


def inquiry(names: str) -> str:
    """A question for something: `your name`, `whether you smoke`."""
    names = to_the_caller(_OVERVIEW.sub("", names.strip().rstrip(".!:; ")))
    if errand := re.match(r"(?i)to (.+)", names):
        return f"Could you please {errand[1]}?"
    return f"Could you tell me {names if _DETERMINED.match(names) else f'your {names}'}?"


_WHO = r"(?:(?:the|a|every|your) (?:callers?|customers?|users?|guests?|patients?|clients?|persons?)|them|him|her)"
_VERB = (
    r"(?:ask|asking|collect|thank|wish|greet|greeting|introduce|introducing|end|close|wait|use|read|repeat|review"
    r"|confirm|summari[sz]e|mention|tell|inform|say|state|explain|share|offer|suggest|recommend|proceed|transfer"
    r"|be|keep|let)"
)
_ADVERBS = r"(?:then|first|next|also|finally|always|just|please|\w+ly)"
_CLAUSE_END = re.compile(rf"(?i)(?:[,;:] (?:and |then )*| and (?:then )?)(?=(?:{_ADVERBS} )*{_VERB}\b)")
_LEAD_IN = re.compile(
    rf"(?i)^(?:{_ADVERBS},? |for [^,.:]{{1,60}}, |(?:start|begin)(?: off)? (?:by|with) |your \w+ is to )+"
)
_GREETING = re.compile(r"(?i)(?:hi|hello|hey|welcome|good (?:morning|afternoon|evening|day))\b")
_TECHNICAL = re.compile(
    r"(?i:\b(?:functions?|tools?|proceed|move on|next step)\b)|\b[a-zA-Z]+_\w+|\b[a-z]{2,}[A-Z]\w*|[{}]"
)
_VARIABLE = re.compile(r"\$(?:[\w-]+\.)*([\w-]+)")
_REQUEST = re.compile(r"(?:^|(?<=[.!?] ))Please [^.!?]*[.!]?$")
_TAG = re.compile(r"</?\w[^<>]{0,40}>")
_STEP = re.compile(r"(?i)\bsteps?\b")
_TO_THE_CALLER = re.compile(
    r"(?i)(?!.*\b(?:callers?|customers?|users?|guests?|them|their|ask)\b)"
    r"(?:please\b|let['’]s\b|.*\b(?:i|i['’](?:m|ll|ve|d)|me|my)\b|.*\?$)"
)
_SINGLE_QUOTE = re.compile(r"(?i)\bsay(?:ing)?:? ['‘]([^'’]+)['’]")
_OVERVIEW = re.compile(r"(?i)^(?:any |the )?information (?:about|on) ")
_DETERMINED = re.compile(
    r"(?i)(?:the|an?|any|all|your|which|what|how|whether|when|where|who|whose|why|if|that)\b"
)
_CLAUSES = [
    (re.compile(rf"(?is){pattern}"), template)
    for pattern, template in (
        (rf"ask(?:ing)?(?: {_WHO})? (?:for|to give)[^,.]* confirmation\b()", CONFIRM),
        (r"(?:confirm|review|summari[sz]e|recap|(?:read|repeat)\b.* (?:back|details?|order))\b()", CONFIRM),
        (r"thank (?:the |our )?\w+ (?:\w+ly )?for (.+)", "Thank you for {}."),
        (r"thank\b()", "Thank you."),
        (rf"wish {_WHO} (.+)", "I wish you {}."),
        (rf"(?:tell|inform|remind|assure)(?: {_WHO})? that (.+)", "{}."),
        (rf"let {_WHO} know(?: that)? (.+)", "{}."),
        (
            r"(?:mention|say|explain|state)(?: that (?=.)| (?=(?:they|you|we|it|the \w+ (?:is|are))\b))(.+)",
            "{}.",
        ),
        (r"(?:suggest|recommend):? (.+?)(?-i: For .*)?$", "I can suggest {}."),
    )
]
_ASKING = re.compile(
    rf"(?is)(?:(?:ask|asking)(?: {_WHO})?(?: for| about)?|collect|find out|obtain):? (?!to use\b)(.+)"
)


def _lines(text: str) -> Iterator[str]:
    """What the instructions put into the agent's mouth, in their order, no line of it twice."""
    return iter(dict.fromkeys(line for unit in units(_readable(text)) for line in _of_unit(unit)))


def _readable(text: str) -> str:
    """Without marks of speech, and with variables as the words that they are made of."""
    return _VARIABLE.sub(lambda it: spaced(it[1]) if "." in it[0] else it[0], _TAG.sub("", text))


def _of_unit(unit: str) -> Iterator[str]:
    if quoted := _SINGLE_QUOTE.search(unit):
        yield as_sentence(quoted[1])
    elif words := speech_in(unit):
        yield from [] if CONDITIONAL.match(unit) else [words]
    elif _is_said_as_it_stands(unit):
        yield as_sentence(unit)
    elif not (CONDITIONAL.match(unit) or FORBIDDEN.match(unit)):
        yield from filter(None, map(_of_clause, _CLAUSE_END.split(unit)))


def _is_said_as_it_stands(unit: str) -> bool:
    if unit.endswith(":") or _TECHNICAL.search(unit) or CONDITIONAL.match(unit):
        return False
    if _TO_THE_CALLER.match(unit):
        return True
    return bool(STATEMENT.match(unit)) and not (is_of_the_agent(unit) or _STEP.search(unit))


def _of_clause(clause: str) -> str:
    clause = _LEAD_IN.sub("", clause.strip(), count=1).rstrip(".!:; ")
    if _TECHNICAL.search(clause):
        return ""
    for pattern, template in _CLAUSES:
        if match := pattern.match(clause):
            return as_sentence(template.format(to_the_caller(match[1])))
    asking = _ASKING.match(clause)
    return inquiry(asking[1]) if asking else ""


def _until_question(lines: Iterable[str]) -> str:
    """The first question or request with a statement or two before it."""
    said: list[str] = []
    for line in lines:
        if asks(line):
            return joined(*said[:_MOST_STATEMENTS], line)
        said.append(line)
    return joined(*said[:_MOST_STATEMENTS])
