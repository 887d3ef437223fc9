"""An agent's system prompt as `offline` reads it: instructions with a moment, and facts.

    When the caller wants to book a table, call bookTable.          if      + tool
    If the caller asks about dogs, say "Dogs are welcome."          if      + speech
    Before you book, read the day and the time back.                before  + speech
    After booking, say "See you [day]!"                             after   + speech, [day] is filled
    If the booking fails, apologise.                                failed  + speech, the agent's own words
    Always start by saying "This call is recorded."                 first   + speech
    Ask for the caller's name.                                      next    + speech
    At the end, say "Thank you for calling."                        last    + speech
    Never give legal advice.                                        a refusal, kept among the facts
    We are open until 7 pm.                                         a fact

What fits none of these is left out: a prompt that is mostly tone leaves an agent with little to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from mcp_agent_eval.engine.llm.offline.language import Stems, content, sentences, spaced
from mcp_agent_eval.engine.llm.offline.phrasing import (
    ACTION,
    FORBIDDEN,
    STATEMENT,
    fact,
    is_of_the_agent,
    phrased,
    step,
)
from mcp_agent_eval.engine.llm.offline.rephrase import as_sentence

When = Literal["if", "before", "after", "failed", "first", "next", "last"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What to say or which tool to call, and when: `about` are the words of its condition."""

    when: When
    about: Stems
    speech: str = ""
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """A prompt as it was understood. Every tool is in it, also one that the prompt does not name."""

    instructions: tuple[Instruction, ...]
    facts: tuple[str, ...]

    def at(self, when: When) -> list[Instruction]:
        """The instructions for one moment, in the order of the prompt."""
        return [instruction for instruction in self.instructions if instruction.when == when]


@lru_cache(maxsize=64)
def read_prompt(prompt: str, tools: tuple[str, ...]) -> Playbook:
    """The playbook of a prompt with these tools."""
    instructions: list[Instruction] = []
    told: list[str] = []
    for unit in units(prompt):
        if instruction := _instruction(unit, tools):
            instructions.append(instruction)
        elif not CONDITIONAL.match(unit) or _is_statement(unit):
            told.append(unit)
    if any(it.when in {"first", "next"} for it in instructions):
        instructions = [_in_script(it, tools) for it in instructions]
    named = {it.tool for it in instructions if it.when == "if"}
    instructions += [Instruction("if", content(spaced(it)), tool=it) for it in tools if it not in named]
    return Playbook(tuple(instructions), _facts(told))


def _in_script(instruction: Instruction, tools: tuple[str, ...]) -> Instruction:
    """In a script, what comes after something that is no tool is simply the next step."""
    after_a_tool = any(instruction.about & content(spaced(tool)) for tool in tools)
    return instruction if instruction.when != "after" or after_a_tool else replace(instruction, when="next")


def _facts(told: list[str]) -> tuple[str, ...]:
    """What can be told to a caller: who the agent is only where there is nothing else."""
    useful = [unit for unit in told if not is_of_the_agent(unit)]
    return tuple(filter(None, map(fact, useful))) or tuple(filter(None, map(fact, told)))


_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])\s+")
_HEADING = re.compile(r"^\s*(?:#+\s.*|[^\"“.!?]{1,60}:\s*)$")
_OPENERS = r"when(?:ever)?|if|in case|once|before|after"
CONDITIONAL = re.compile(rf"(?i)(?:{_OPENERS})\b")
"""How an instruction begins that is for a certain moment only."""


def units(prompt: str) -> Iterator[str]:
    """What an instruction can be: a bullet that begins with a condition, or else a sentence."""
    for line in _lines(prompt):
        if CONDITIONAL.match(line):
            yield line
        else:
            yield from sentences(line)


def _lines(prompt: str) -> Iterator[str]:
    """Bullets and paragraphs without their marks, wrapped lines put together, headings left out."""
    paragraph: list[str] = []
    for line in [*prompt.splitlines(), ""]:
        starts_anew = not line.strip() or _BULLET.match(line) or _HEADING.match(line)
        if starts_anew and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if not _HEADING.match(line):
            paragraph += _BULLET.sub("", line).replace("**", "").split()


_QUOTE = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_FAILURE = re.compile(
    r"(?i)(?!.*\b(?:caller|customer|user|guest|they)\b).*\b(?:fail(?:s|ed)?|errors?|unsuccessful|goes wrong)\b"
)
_SPEAKING = re.compile(
    r"(?i)\b(?:say|ask|tell|answer|repl(?:y|ies)|respond|greet|welcome|explain|state|mention|offer|confirm|read|open"
    r"|start|begin|end|clos[ei]|with)(?:s|ing)?\b"
)
_FIRST = re.compile(r"(?i)\b(?:first|always|start|begin\w*|greet|opening)\b")
_LAST = re.compile(
    r"(?i)\b(?:finally|lastly|(?:at|in) the end|end (?:the|every|each|with|by)|clos(?:e|ing))\b"
)


def _instruction(unit: str, tools: tuple[str, ...]) -> Instruction | None:
    opener, condition, action = _parts(unit)
    speech = speech_in(action)
    if FORBIDDEN.match(action) and not (opener == "if" and speech):
        return None
    tool = _named(action, tools)
    if opener is None:
        return _standing(action, speech, tool)
    if not speech and not tool and STATEMENT.match(action):
        return None
    when = "after" if opener == "if" and _named(condition, tools) else opener
    when = "failed" if _FAILURE.match(condition) else when
    return Instruction(when, content(spaced(condition)), speech or ("" if tool else phrased(action)), tool)


def _named(text: str, tools: tuple[str, ...]) -> str | None:
    return next((name for name in tools if re.search(rf"\b{re.escape(name)}\b", text)), None)


def _standing(action: str, speech: str, tool: str | None) -> Instruction | None:
    """An instruction without a condition: about a tool, or due at the start, at the end or in between."""
    unquoted = _QUOTE.sub("", action)
    if tool:
        return Instruction("if", content(spaced(unquoted)), speech, tool)
    speech = speech or step(action)
    if not speech:
        return None
    when: When = "last" if _LAST.search(unquoted) else "first" if _FIRST.search(unquoted) else "next"
    return Instruction(when, frozenset(), speech)


_BEFORE_ACTION = re.compile(rf"(?i)[,:;] (?={ACTION})")
_AND_ACTION = re.compile(rf"(?i) and (?={ACTION})")
_BREAK = re.compile(r"[,:;] ")
_LEADING = re.compile(rf"(?i)({_OPENERS}) ")
_TRAILING = re.compile(rf"(?i)(.{{8,}}?),? ({_OPENERS}) (?=.)")
_FILLERS = re.compile(
    r"(?i)(?:(?:please|then|always|also|first|next|you (?:should|must|can|may|need to)) )+(?!not\b)"
)


def _parts(unit: str) -> tuple[When | None, str, str]:
    """(moment, condition, action) of an instruction; without a condition the moment is None."""
    masked = _QUOTE.sub(lambda quote: "_" * len(quote[0]), unit)
    if leading := _LEADING.match(masked):
        cut = _BEFORE_ACTION.search(masked) or _BREAK.search(masked)
        if cut:
            return _moment(leading[1]), unit[leading.end() : cut.start()], _bare(unit[cut.end() :])
    elif trailing := _TRAILING.match(masked):
        more = _AND_ACTION.search(masked, trailing.end())
        end = more.start() if more else len(unit)
        return _moment(trailing[2]), unit[trailing.end() : end], _bare(unit[: trailing.end(1)] + unit[end:])
    return None, "", unit


def _moment(opener: str) -> When:
    opener = opener.lower()
    return "before" if opener == "before" else "after" if opener in {"after", "once"} else "if"


def _bare(action: str) -> str:
    """An action from its verb on."""
    fillers = _FILLERS.match(action)
    return action[fillers.end() :] if fillers else action


def _is_statement(unit: str) -> bool:
    opener, _, action = _parts(unit)
    return opener is not None and STATEMENT.match(action) is not None


def speech_in(action: str) -> str:
    """The words that an action puts into the agent's mouth, between quotes."""
    speaking = _SPEAKING.search(action)
    for quote in _QUOTE.finditer(action):
        if (speaking and speaking.end() <= quote.start()) or len(quote[1].split()) > 3:
            return as_sentence(quote[1])
    return ""
