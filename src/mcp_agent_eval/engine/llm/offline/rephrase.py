"""How `offline` says a text of somebody else's: in the first person, to the caller, as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable


def joined(*parts: str) -> str:
    """The parts that are not empty, as one line of speech."""
    return " ".join(part for part in parts if part)


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *others, final = items
    return f"{', '.join(others)} {last} {final}" if others else final


def as_sentence(text: str) -> str:
    """Capitalised, and with a full stop where it has no end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in '.!?"”' else f"{text}."


def continued(text: str) -> str:
    """A sentence as it goes on after a comma, where its first word is no name."""
    return text[:1].lower() + text[1:] if re.match(r"(?:My|The|It|This|We|You)\b", text) else text


_OWN = {
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "you're": "I'm",
    "you've": "I've",
    "you'd": "I'd",
    "you'll": "I'll",
}
_BE = {"are": "am", "were": "was", "aren't": "am not", "weren't": "wasn't"}
_OBJECT_AFTER_WORDS = """
    to for with at of from by about on near behind beside give gives gave send sends sent call calls
    called tell tells told ask asks asked help helps helped charge charges charged bother bothers show
    hurts owe owes let lets
"""
_OBJECT_AFTER = frozenset(_OBJECT_AFTER_WORDS.split())
_WORD_OR_GAP = re.compile(r"([\w'’]+)|[^\w'’]+")


def first_person(text: str) -> str:
    """A text that speaks to `you`, as that person would say it of themselves."""
    said: list[str] = []
    previous = ""
    for match in _WORD_OR_GAP.finditer(text):
        token = match[0]
        if match[1]:
            said.append(_turned(token, previous, text[match.end() : match.end() + 1]))
            previous = token.lower()
        else:
            said.append(token)
            previous = previous if token.isspace() else ""
    return re.sub(r"\bI (are|were|aren't|weren't)\b", lambda it: f"I {_BE[it[1]]}", "".join(said))


def _turned(token: str, previous: str, follower: str) -> str:
    word = token.lower().replace("’", "'")
    if word == "you":
        return "me" if previous in _OBJECT_AFTER or (previous and follower in {"", ".", ","}) else "I"
    own = _OWN.get(word, token)
    return own[:1].upper() + own[1:] if token[0].isupper() else own


_WHO = r"(?:the|a|any) (?:caller|customer|user|person|client|guest|patient)"
_WHO_DOES = re.compile(rf"(?i)\b{_WHO} ([a-z]+)\b")
_WHOSE = re.compile(rf"(?i)\b{_WHO}(['’]s)?\b")
_THEM = re.compile(r"(?i)\b(?:they|them|(their)s?)\b")


def to_the_caller(text: str) -> str:
    """A text about `the caller`, as it is said to them."""
    text = _WHO_DOES.sub(lambda it: f"you {plain(it[1])}", text)
    text = _WHOSE.sub(lambda it: "your" if it[1] else "you", text)
    return _THEM.sub(lambda it: "your" if it[1] else "you", text)


_PLAIN = {"is": "are", "has": "have", "does": "do", "was": "were", "goes": "go"}


def plain(verb: str) -> str:
    """A verb of the third person as it goes with `you`: `wants` as `want`."""
    verb = verb.lower()
    return _PLAIN.get(verb) or (verb if verb.endswith("ss") else verb.removesuffix("s"))
