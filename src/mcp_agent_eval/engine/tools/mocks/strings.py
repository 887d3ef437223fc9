"""Generates strings: by format, by what a property's name suggests, or from a regular expression.

What a name suggests about values that are not strings is also decided here.

Everything is drawn from the given `Random`, so one seed gives one string. Whether a string satisfies its whole
schema is checked in `values`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from random import Random
from string import ascii_letters, ascii_uppercase, digits, punctuation
from typing import Any, cast

from mcp_agent_eval.engine.matching.schemas import matches

# Private, but the only parser of Python's patterns.
_parser = import_module("re._parser")

LONGEST = 10_000
"""Most characters in a generated string, and most pattern nodes visited to draw one."""
TRIES = 50
"""Strings to draw from a pattern before giving up."""

Tree = Iterable[tuple[object, Any]]
Maker = Callable[[Random], str]


@dataclass(frozen=True, slots=True)
class TextRules:
    """A schema's rules for a string. Lengths are in code points, as JSON Schema counts them."""

    formats: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    shortest: int = 0
    longest: int = LONGEST


def strings(name: str, rules: TextRules, rng: Random) -> Iterator[str]:
    """Strings that follow the rules, the most plausible for a property of that name first.

    Raises `re.error` for a pattern that is not valid in Python, and the errors of `matches`.
    """
    if rules.shortest > min(rules.longest, LONGEST):
        return
    drawn = _from_patterns(rules, rng) if rules.patterns else _plausible(name, rules, rng)
    yield from (text for text in drawn if _keeps(rules, text))


def words_in(name: str) -> list[str]:
    """The words of a property's name in lower case: `confirmationNumber` has two."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def speaks_of_failure(name: str) -> bool:
    """Whether a property would only be present, or only be true, if something had gone wrong."""
    return not _FAILURE.isdisjoint(words_in(name))


def speaks_of_outcome(name: str) -> bool:
    """Whether a property says how it went."""
    return not _OUTCOME.isdisjoint(words_in(name))


def how_unsuccessful(value: object) -> int:
    """A rank by how much a value suggests success, which is 0."""
    word = str(value).lower()
    return _SUCCESS.index(word) if word in _SUCCESS else len(_SUCCESS)


def usual_range(name: str) -> tuple[int, int]:
    """The plausible range of numbers for a property of that name."""
    return _RANGES.get((words_in(name) or [""])[-1], (1, 100))


def _keeps(rules: TextRules, text: str) -> bool:
    in_length = rules.shortest <= len(text) <= rules.longest
    return in_length and all(matches(pattern, text) for pattern in rules.patterns)


# --- By format and by name


def _plausible(name: str, rules: TextRules, rng: Random) -> Iterator[str]:
    yield from (_FORMATS[known](rng) for known in rules.formats if known in _FORMATS)
    words = words_in(name)
    yield _fitted(_named(words)(rng), rules)
    yield _fitted(_numbered(words)(rng), rules)


def _named(words: list[str]) -> Maker:
    for known in (" ".join(words[-2:]), *words[-1:]):
        if known in _NAMES:
            return _NAMES[known]
    return _numbered(words)


def _numbered(words: list[str]) -> Maker:
    return lambda rng: f"{' '.join(words) or 'item'} {rng.randint(1, 99)}"


def _fitted(text: str, rules: TextRules) -> str:
    """The text, repeated or cut to an allowed length."""
    while len(text) < rules.shortest:
        text = f"{text} {text or 'x'}"
    return text[: rules.longest]


def _one_of(*options: str) -> Maker:
    return lambda rng: rng.choice(options)


def _formatted(template: str) -> Maker:
    """A template in which each # is a digit, each ? a capital or a digit and each ~ a hexadecimal digit."""
    alphabets = {"#": digits, "?": ascii_uppercase + digits, "~": "0123456789abcdef"}
    return lambda rng: "".join(rng.choice(alphabets[c]) if c in alphabets else c for c in template)


def _moment(layout: str) -> Maker:
    """A quarter-hour within office hours in 2027."""
    first = datetime(2027, 1, 1, 8, tzinfo=UTC)
    return lambda rng: (
        f"{first + timedelta(days=rng.randrange(365), minutes=15 * rng.randrange(40)):{layout}}"
    )


_WHO = ("alex", "dana", "jordan", "maya", "noam", "robin", "sam", "tamar")
_FAMILY = ("Adler", "Cohen", "Evans", "Garcia", "Kim", "Levi", "Novak", "Singh")


def _full_name(rng: Random) -> str:
    return f"{rng.choice(_WHO).title()} {rng.choice(_FAMILY)}"


def _link(rng: Random) -> str:
    return f"https://example.com/{_formatted('~~~~~~')(rng)}"


def _email(rng: Random) -> str:
    return f"{rng.choice(_WHO)}{rng.randint(1, 99)}@example.com"


_DATE, _TIME, _DATE_TIME = _moment("%Y-%m-%d"), _moment("%H:%M:%SZ"), _moment("%Y-%m-%dT%H:%M:%SZ")
_REFERENCE = _formatted("?????#")

_FORMATS: dict[str, Maker] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": _DATE_TIME,
    "duration": _one_of("PT15M", "PT30M", "PT1H", "P1D"),
    "email": _email,
    "idn-email": _email,
    "hostname": _formatted("host-##.example.com"),
    "idn-hostname": _formatted("host-##.example.com"),
    "ipv4": _formatted("192.0.2.1##"),
    "ipv6": _formatted("2001:db8::a~~~"),
    "uri": _link,
    "uri-reference": _link,
    "uri-template": _link,
    "iri": _link,
    "iri-reference": _link,
    "uuid": _formatted("~~~~~~~~-~~~~-4~~~-8~~~-~~~~~~~~~~~~"),
    "json-pointer": _formatted("/items/#"),
    "relative-json-pointer": _formatted("1/items/#"),
    "regex": _one_of("^[a-z]+$", "[0-9]{3}"),
}

_NAMES: dict[str, Maker] = {
    "address": _formatted("## Harbour Street"),
    "at": _DATE_TIME,
    "city": _one_of("Haifa", "Lisbon", "Oslo", "Seattle"),
    "code": _REFERENCE,
    "confirmation": _REFERENCE,
    "country": _one_of("Israel", "Norway", "Portugal", "United States"),
    "currency": _one_of("USD"),
    "date": _DATE,
    "datetime": _DATE_TIME,
    "day": _DATE,
    "email": _email,
    "error": _one_of(""),
    "first name": lambda rng: rng.choice(_WHO).title(),
    "id": _REFERENCE,
    "language": _one_of("en"),
    "last name": lambda rng: rng.choice(_FAMILY),
    "link": _link,
    "message": _one_of("The request was completed."),
    "name": _full_name,
    "number": _REFERENCE,
    "outcome": _one_of("success"),
    "phone": _formatted("+1-555-01##"),
    "phone number": _formatted("+1-555-01##"),
    "reference": _REFERENCE,
    "result": _one_of("success"),
    "status": _one_of("success"),
    "time": _moment("%H:%M"),
    "timestamp": _DATE_TIME,
    "timezone": _one_of("UTC"),
    "url": _link,
    "zip": _formatted("#####"),
}
"""By the last one or two words of a property's name. A short list of what tools return most often."""

_FAILURE = {"error", "errors", "exception", "failed", "failure", "failures", "rejected"}
_OUTCOME = {"status", "result", "success", "state", "outcome"}
_SUCCESS = [
    "success",
    "succeeded",
    "successful",
    "ok",
    "completed",
    "complete",
    "done",
    "confirmed",
    "approved",
]

_MONEY = (20, 400)
_RANGES = {
    "age": (21, 70),
    "amount": _MONEY,
    "balance": _MONEY,
    "cost": _MONEY,
    "count": (1, 5),
    "latitude": (-60, 60),
    "longitude": (-170, 170),
    "minutes": (15, 90),
    "price": _MONEY,
    "quantity": (1, 5),
    "rating": (3, 5),
    "temperature": (12, 28),
    "total": _MONEY,
    "year": (2026, 2028),
}


# --- From a regular expression


def _from_patterns(rules: TextRules, rng: Random) -> Iterator[str]:
    trees = {pattern: cast(Tree, _parser.parse(pattern)) for pattern in rules.patterns}
    for attempt in range(TRIES):
        # More and more repeats, so that a minimum length is also reached.
        spread = attempt * (1 + rules.shortest // 10)
        for pattern, tree in trees.items():
            drawing = _Drawing(rng, spread)
            text = drawing.draw(tree)
            if drawing.is_spent:
                return
            # A text that no longer matches could keep `re` busy forever, so only an open end is extended.
            yield text if "$" in pattern or len(text) >= rules.shortest else _fitted(text, rules)


class _Drawing:
    """One string from a pattern's tree. Anchors and lookarounds are left to chance and a later check."""

    def __init__(self, rng: Random, spread: int) -> None:
        self._rng = rng
        self._spread = spread
        self._groups: dict[int, str] = {}
        self._left = LONGEST

    @property
    def is_spent(self) -> bool:
        """Whether the pattern required more than `LONGEST`, so that the drawn string is incomplete."""
        return self._left < 0

    def draw(self, tree: Tree) -> str:
        return "".join([self._node(str(op), arg) for op, arg in tree if not self.is_spent])

    def _node(self, op: str, arg: Any) -> str:
        self._left -= 1
        match op:
            case "LITERAL":
                return chr(arg)
            case "NOT_LITERAL" | "ANY" | "IN":
                return self._character(op, arg)
            case "BRANCH":
                return self.draw(self._rng.choice(arg[1]))
            case "SUBPATTERN":
                return self._group(*arg)
            case "ATOMIC_GROUP":
                return self.draw(arg)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(*arg)
            case "GROUPREF":
                return self._groups.get(arg, "")
            case "GROUPREF_EXISTS":
                return self._conditional(*arg)
            case _:
                return ""

    def _group(self, number: int | None, _added: int, _removed: int, tree: Tree) -> str:
        text = self.draw(tree)
        if number is not None:
            self._groups[number] = text
        return text

    def _repeat(self, least: int, most: int, tree: Tree) -> str:
        times = self._rng.randint(least, min(most, least + self._spread))
        return "".join([self.draw(tree) for _ in range(min(times, LONGEST)) if not self.is_spent])

    def _conditional(self, number: int, yes: Tree, no: Tree | None) -> str:
        return self.draw(yes if number in self._groups else no or ())

    def _character(self, op: str, arg: Any) -> str:
        """A letter or a digit if the set allows one, else anything that it allows."""
        belongs = _membership(op, arg)
        for alphabet in (ascii_letters + digits, f" {punctuation}", _named_in(op, arg), _OTHERS):
            if fitting := [character for character in alphabet if belongs(character)]:
                return self._rng.choice(fitting)
        return ""


_OTHERS = "".join(map(chr, [*range(0x20), *range(0x7F, 0x250)]))


def _named_in(op: str, arg: Any) -> str:
    """The characters that a set lists one by one, and the starts of its ranges."""
    spans = [(str(kind), span) for kind, span in arg] if op == "IN" else []
    starts = (span if kind == "LITERAL" else span[0] for kind, span in spans if kind in ("LITERAL", "RANGE"))
    return "".join(map(chr, starts))


def _membership(op: str, arg: Any) -> Callable[[str], bool]:
    """Whether a character belongs to a set, or to one of a set's items."""
    match op:
        case "LITERAL":
            return lambda character: ord(character) == arg
        case "NOT_LITERAL":
            return lambda character: ord(character) != arg
        case "RANGE":
            return lambda character: arg[0] <= ord(character) <= arg[1]
        case "CATEGORY":
            class_ = re.compile(_CLASSES[str(arg)])
            return lambda character: class_.match(character) is not None
        case "IN":
            return _union([(str(kind), item) for kind, item in arg])
        case _:
            return lambda character: character != "\n"


def _union(items: list[tuple[str, Any]]) -> Callable[[str], bool]:
    wanted = items[0][0] != "NEGATE"
    members = [_membership(kind, item) for kind, item in items if kind != "NEGATE"]
    return lambda character: any(belongs(character) for belongs in members) == wanted


_CLASSES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
