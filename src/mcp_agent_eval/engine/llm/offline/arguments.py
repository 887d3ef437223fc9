"""The arguments of a tool, as far as a caller has given them, and how to ask for the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mcp_agent_eval.engine.llm.messages import ToolSpec
from mcp_agent_eval.engine.llm.offline import values
from mcp_agent_eval.engine.llm.offline.language import content, questions, spaced, words
from mcp_agent_eval.engine.llm.offline.rephrase import joined, listed, to_the_caller
from mcp_agent_eval.engine.llm.offline.shape import as_list, as_object, fill, kind_of
from mcp_agent_eval.types import Json

_LONGEST_ASKED = 8
_LONGEST_VALUE = 4
_PART_END = re.compile(r"(?:,| and\b)\s*(?:and )?")
_MATTER_WORDS = """
    reason why purpose problem issue notes description summary request details concern question query
"""
_MATTER = frozenset(_MATTER_WORDS.split())


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the agent said, and what it got for an answer."""

    asked: str
    answered: str

    def stated(self) -> str:
        """The caller's words, and the offer that they agreed to."""
        return joined(self.answered, questions(self.asked) if values.agrees(self.answered) else "")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is known for a call, and what still has to be asked for."""

    known: Json
    missing: list[str]


def collect(tool: ToolSpec, exchanges: Sequence[Exchange]) -> Arguments:
    """The arguments of the one tool that is due now: who was just asked about its only argument has answered with
    it, and what the matter is was said last."""
    required = as_list(tool.parameters.get("required"))
    if len(required) == 1 and exchanges:
        exchanges = [*exchanges[:-1], _to_the_point(tool, str(required[0]), exchanges[-1])]
    return gather(tool, exchanges, is_due=True)


def _to_the_point(tool: ToolSpec, name: str, exchange: Exchange) -> Exchange:
    """The exchange, as if the agent had asked for this argument where it asked about the tool's matter. A number
    needs no question."""
    schema = properties(tool.parameters).get(name, {})
    asked_for = subject(name, schema)
    matter = content(joined(spaced(tool.name), tool.description, asked_for))
    if kind_of(schema) in {"integer", "number"} or content(questions(exchange.asked)) & matter:
        return replace(exchange, asked=joined(exchange.asked, asked_for))
    return exchange


def gather(tool: ToolSpec, exchanges: Sequence[Exchange], *, is_due: bool = False) -> Arguments:
    """The arguments of a call; the caller's newest word on each counts. What nobody asks for in words, such as an
    object, is made up; so is a list, but not for a tool that is due now."""
    made_up = {"object", "null"} if is_due else {"object", "null", "array"}
    known: Json = {}
    missing: list[str] = []
    required = as_list(tool.parameters.get("required"))
    for name, schema in properties(tool.parameters).items():
        value = _value(name, schema, exchanges)
        if value is None:
            value = _matter(name, schema, exchanges[-1:] if is_due else exchanges)
        if value is None and name in required and kind_of(schema) in made_up:
            value = fill(schema)
        if value is not None:
            known[name] = value
        elif name in required:
            missing.append(subject(name, schema))
    return Arguments(known, missing)


def properties(parameters: Json) -> dict[str, Json]:
    """A tool's parameters by name."""
    declared = as_object(parameters.get("properties"))
    return {name: as_object(schema) for name, schema in declared.items()}


_OF_CALLER = re.compile(r"^(?:the )?(.+?) of (?:the|a) (?:caller|customer|user|person|client|guest|patient)$")
_HAS_ARTICLE = re.compile(r"(?:the|a|an|your|which|what|how|whether|when|where|who|why|if)\b")


def subject(name: str, schema: Json) -> str:
    """A parameter as it is asked for: `your full name`, `the day of the visit`."""
    described = re.split(r"[.,;:(]| as ", str(schema.get("description") or ""))[0].strip()
    if not 0 < len(described.split()) <= _LONGEST_ASKED:
        described = spaced(name)
    described = to_the_caller(_OF_CALLER.sub(r"your \1", _uncapitalised(described)))
    if not _HAS_ARTICLE.match(described):
        described = f"the {described}"
    options = [str(option).replace("_", " ") for option in _options(schema)]
    return f"{described}: {listed(options, 'or')}" if options else described


def _uncapitalised(text: str) -> str:
    """With a small first letter, unless it begins with an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _options(schema: Json) -> list[object]:
    return as_list(schema.get("enum"))


def _value(name: str, schema: Json, exchanges: Sequence[Exchange]) -> object:
    read = _reader(name, schema)
    found = (read(exchange) for exchange in reversed(exchanges))
    return next((value for value in found if value is not None), None)


def _matter(name: str, schema: Json, exchanges: Sequence[Exchange]) -> str | None:
    """What the first of the exchanges is about, for a parameter that is there to tell it."""
    wanted = kind_of(schema) == "string" and _MATTER & set(words(spaced(name)))
    return values.own_words(exchanges[0].answered.rstrip("?")) if wanted and exchanges else None


def _reader(name: str, schema: Json) -> Callable[[Exchange], object]:
    """How to find a value of this parameter in an exchange."""
    asked_for = subject(name, schema)
    kind = kind_of(schema)
    if options := _options(schema):
        return lambda exchange: values.option(options, exchange.stated())
    if kind in {"integer", "number", "boolean"}:
        return lambda exchange: (
            values.scalar(kind, exchange.answered) if asked_for in exchange.asked else None
        )
    if kind == "array":
        return lambda exchange: _items(schema, _direct(asked_for, exchange))
    if kind != "string":
        return lambda exchange: None
    if look := values.look_of(name, str(schema.get("description") or ""), schema.get("format")):
        return lambda exchange: (
            values.matched(look, exchange.stated()) or _direct(asked_for, exchange, _LONGEST_VALUE)
        )
    return lambda exchange: _direct(asked_for, exchange)


def _direct(asked_for: str, exchange: Exchange, longest: int = 100) -> str | None:
    """The caller's own words, when they were asked for this; too many of them are something else."""
    answer = values.own_words(exchange.answered) if asked_for in exchange.asked else None
    return answer if answer and len(answer.split()) <= longest else None


def _items(schema: Json, answer: str | None) -> list[object] | None:
    """The parts of an answer, each as an item of the list; nothing at all where the caller has none."""
    if answer is None:
        return None
    if values.declines(answer):
        return []
    item = as_object(schema.get("items"))
    if options := _options(item):
        return [option for option in options if values.option([option], answer)] or None
    return [fill(item, part) for part in _PART_END.split(answer) if part]
