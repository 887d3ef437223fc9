"""What a value looks like when it is spoken: dates, times, names, numbers, one of several options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mcp_agent_eval.engine.llm.offline.language import spaced, words

_MONTH = "(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_ORDINAL = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = re.compile(
    rf"(?i)\b(\d{{4}}-\d\d-\d\d|{_ORDINAL}(?: of)? {_MONTH}|{_MONTH} {_ORDINAL}\b"
    r"|\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tonight|tomorrow)"
)
_TIME = re.compile(
    r"(?i)\b(\d{1,2}(?:[:.]\d\d)? ?(?:am|pm|a\.m\.|p\.m\.|o['’]clock)|\d{1,2}:\d\d|noon|midday|midnight)"
)
_NAME = re.compile(
    r"(?i:\bname is|\bname['’]s|\bthis is|\bi am|\bi['’]m|\bname:)\s+([A-Z][\w'’-]*(?:\s[A-Z][\w'’-]*){0,3})"
)
_PHONE = re.compile(r"(\+?\d[\d ()-]{5,30}\d)")
_EMAIL = re.compile(r"([\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)")
_CODE = re.compile(r"\b([A-Z]{1,6}-?\d[\w-]*|\d[\d-]{2,})\b")
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,9})?(?!\w)")
_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve"
_COUNTS = _COUNTED.split()

_BY_FORMAT = {"date": _DATE, "time": _TIME, "email": _EMAIL}
_BY_WORD: tuple[tuple[frozenset[str], re.Pattern[str]], ...] = (
    (frozenset({"email", "mail"}), _EMAIL),
    (frozenset({"phone", "telephone", "mobile", "cell"}), _PHONE),
    (frozenset({"time", "hour"}), _TIME),
    (frozenset({"date", "day"}), _DATE),
    (frozenset({"name"}), _NAME),
    (frozenset({"number", "code", "reference", "id", "ref"}), _CODE),
)
_YES = re.compile(r"(?i)\W*(?:yes|yeah|yep|sure|okay|ok|fine|perfect|great|that works|of course)\b")
_NO = re.compile(r"(?i)\W*(?:no|none|nope|nothing|never)\b")
_UNHELPFUL = re.compile(
    r"(?i)don['’]?t know|do not know|not sure|no idea|don['’]?t have|do not have|rather not|\bwhy\b|\?\s*$"
)
_LEAD_IN = re.compile(
    r"(?i)(?:(?:hi|hello|hey)\b[.,!]?\s*)?"
    r"(?:(?:it['’]?s|it is|that is|that['’]s|because|(?:my|the) [\w ]{1,30} is)\s+)?"
)


def agrees(text: str) -> bool:
    """Whether an answer begins with a yes."""
    return _YES.match(text) is not None


def declines(text: str) -> bool:
    """Whether an answer begins with a no."""
    return _NO.match(text) is not None


def look_of(name: str, description: str, format_: object) -> re.Pattern[str] | None:
    """What a text value looks like: by its format, then by the words of its name, then of its description."""
    if pattern := _BY_FORMAT.get(str(format_)):
        return pattern
    for text in (spaced(name), description):
        told = set(words(text)[:6])
        for hints, pattern in _BY_WORD:
            if told & hints:
                return pattern
    return None


def matched(look: re.Pattern[str], text: str) -> str | None:
    """The first value in a text that looks like this."""
    match = look.search(text)
    if match is None:
        return None
    value = match[1].strip()
    return value.capitalize() if look is _DATE and value.isalpha() else value


def option(options: Iterable[object], text: str) -> object:
    """The first of the options that is named in a text, or None."""
    heard, said = _squashed(text), set(words(text))
    for wanted in options:
        squashed = _squashed(str(wanted))
        if squashed and (squashed in heard if len(squashed) > 3 else squashed in said):
            return wanted
    return None


def scalar(kind: str, answer: str) -> bool | int | float | None:
    """A boolean, an integer or a number in an answer."""
    if kind == "boolean":
        return True if agrees(answer) else False if declines(answer) else None
    if match := _NUMBER.search(answer):
        return int(float(match[0])) if kind == "integer" else float(match[0])
    return next((_COUNTS.index(word) for word in words(answer) if word in _COUNTS), None)


def own_words(answer: str) -> str | None:
    """A direct answer without its lead-in; None when it is no answer."""
    if not answer.strip() or _UNHELPFUL.search(answer):
        return None
    answer = answer.strip()
    lead_in = _LEAD_IN.match(answer)
    return answer[lead_in.end() if lead_in else 0 :].rstrip(".! ") or None


def _squashed(text: str) -> str:
    return "".join(words(text.replace("_", " ")))
