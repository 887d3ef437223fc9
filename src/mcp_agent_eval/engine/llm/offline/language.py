"""How `offline` compares texts. Nothing here understands anything.

Two texts are near each other when they share words that few of their rivals have.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

Stems = frozenset[str]

_STOP_WORDS = """
    a an the and or but nor so if then than as of in on at by to for from with without into about over whether
    i you he she it we they me him her us them my your his its our their mine yours ours theirs myself
    yourself this that these those there here who whom whose which what when where why how
    is am are was were be been being do does did doing done have has had having will would shall should can
    could may might must not no nor don't doesn't didn't isn't aren't won't wouldn't can't cannot couldn't
    i'm you're we're they're it's i'd i've you've i'll that's there's let's
    please thank thanks yes okay ok well just also too very really any some all each every other another
    want wants wanted need needs needed like likes ask asks asked asking say says said saying tell tells told
    know knows get gets give gives go goes going come comes let make makes take takes use uses
    caller callers customer customers user users person people someone somebody anyone agent persona
    thing things something anything else more now still only out up hi hello sorry
    call calls calling called first before after once while during
"""
_STOP = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SUFFIXES = ("ing", "ed", "es", "s")
_STEM = 6
_ABBREVIATION = r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)"
_SENTENCE_END = re.compile(rf"\n+|(?:(?<=[.!?])|(?<=[.!?][\"”'])){_ABBREVIATION}\s+(?![a-z])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+")
_FAREWELL = re.compile(
    r"\b(?:good\s?bye|good-bye|bye|farewell|hang(?:ing)? up|take care|see you (?:soon|then|later|tomorrow)"
    r"|(?:have|enjoy) (?:a|the|your) (?:\w+ )?(?:day|evening|night|weekend|one))\b",
    re.IGNORECASE,
)


def spaced(name: str) -> str:
    """`bookAppointment` and `book_appointment` as `book appointment`."""
    return " ".join(_CAMEL.sub(" ", name).lower().split())


def words(text: str) -> list[str]:
    """The words in lower case, without a possessive 's."""
    found = (word.replace("’", "'") for word in _WORD.findall(text.lower()))
    return [word.removesuffix("'s") if word not in _STOP else word for word in found]


def stem(word: str) -> str:
    """What the forms of one word have in common: `booking`, `booked` and `book` are one."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word.removesuffix("e").removesuffix("y").removesuffix("i")[:_STEM] or word


def content(text: str) -> Stems:
    """The stems of the words that carry meaning."""
    return frozenset(stem(word) for word in words(text) if word not in _STOP)


def ranked(query: Stems, options: Sequence[Stems]) -> list[tuple[float, int]]:
    """(score, index) of the options that share a word with the query, best first.

    A shared word counts for 1 divided by the number of options that have it: what is common to many
    says little. Among equals the one goes first of which more was asked for, then the earlier one.
    """
    frequency = Counter(word for option in options for word in option)
    scored = [
        (math.fsum(1 / frequency[word] for word in option & query), index)
        for index, option in enumerate(options)
        if option & query
    ]
    return sorted(scored, key=lambda it: (-it[0], -it[0] / len(options[it[1]]), it[1]))


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break ends one, too."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def questions(text: str) -> str:
    """The questions in a text."""
    return " ".join(sentence for sentence in sentences(text) if sentence.endswith("?"))


def is_farewell(text: str) -> bool:
    """Whether somebody takes their leave."""
    return _FAREWELL.search(text) is not None
