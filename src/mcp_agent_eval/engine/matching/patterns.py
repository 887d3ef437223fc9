"""Regular expressions that cannot hang, with the syntax and results of Python's `re`.

`re` decides what a pattern means: it parses every one. But its search can be neither interrupted nor bounded, so
the parsed tree is written out again for `regex`, which accepts a time limit, spelling out everything on which the
two disagree. This module knows nothing about transcripts.

They still differ on characters newer than this Python's Unicode tables, on U+0345 next to a class and a letter in
one set, and where `re` itself is wrong about a pattern that starts with `(?a:\\W`. A repeat that can match nothing
may end elsewhere, or use up the time limit.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from string import ascii_letters
from threading import Lock
from typing import Any, NamedTuple, Protocol, cast

from mcp_agent_eval.errors import InvalidPattern

# Private, and the only way to see a pattern as `re` does. The tests meet every kind of node on every Python.
_parser = import_module("re._parser")

MAX_LENGTH = 2_000
"""Most characters in a pattern."""
MAX_EXPANSION = 50_000
"""Most nodes in a pattern with its repeats unrolled, as `regex` does: about 1 µs and 0.4 kB for each."""
MAX_DEPTH = 60
"""Deepest nesting of nodes; a repeated group counts as two. All of this recurses, on a stack that callers already
use."""
MAX_PHRASES = 32
"""Most alternatives of a pattern that `literal_phrases` distinguishes."""
TIME_LIMIT = 0.5
"""Most seconds for one search."""

Tree = Iterable[tuple[object, Any]]

_one_at_a_time = Lock()
"""Held while warnings are off, which is global: two overlapping threads would leave them off permanently."""


class PatternTimeout(Exception):
    """A search took longer than `TIME_LIMIT`."""


class Match(NamedTuple):
    """The position of a match, as offsets into the text."""

    start: int
    end: int


class _Found(Protocol):
    def span(self) -> tuple[int, int]: ...


class _Searcher(Protocol):
    def search(self, string: str, *, timeout: float) -> _Found | None: ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that is safe to search for, ignoring case."""

    source: str
    _searcher: _Searcher

    def find(self, text: str) -> Match | None:
        """The first match, or None. Raises `PatternTimeout` after `TIME_LIMIT`."""
        try:
            found = self._searcher.search(text, timeout=TIME_LIMIT)
        except TimeoutError:
            raise PatternTimeout from None
        return Match(*found.span()) if found else None


def find(pattern: str, text: str) -> Match | None:
    """The first match of a pattern in a text, or None. Raises `InvalidPattern` and `PatternTimeout`."""
    return compile_pattern(pattern).find(text)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Pattern:
    """Raises `InvalidPattern` for what `re` refuses, and for what would cost too much to search for."""
    try:
        flags, tree = _parse(pattern)
        _refuse_costly(tree)
        return Pattern(pattern, _searcher(_write_under(flags, tree)))
    except RecursionError:
        raise _too_deep() from None


def literal_phrases(pattern: str) -> list[str]:
    """The literal parts of a possible match: one phrase for each alternative."""
    return _phrases(_parse(pattern)[1])


def _searcher(source: str) -> _Searcher:
    # Imported late: it takes 36 ms, which a process that never searches should not pay.
    import regex

    compile_source = cast(Callable[..., _Searcher], regex.compile)
    return compile_source(source, regex.VERSION1, cache_pattern=False)


# --- Parsing, and what is refused


def _parse(pattern: str) -> tuple[int, Tree]:
    if len(pattern) > MAX_LENGTH:
        raise InvalidPattern(
            f"The pattern has {len(pattern):,} characters, but at most {MAX_LENGTH:,} are allowed. "
            "Split it into several assertions."
        )
    try:
        return _parse_as_re_does(pattern)
    except re.error as exc:
        raise InvalidPattern(_explain(exc, pattern)) from None
    except (ValueError, OverflowError) as exc:
        raise InvalidPattern(f"The pattern does not compile: {exc}.") from None


def _parse_as_re_does(pattern: str) -> tuple[int, Tree]:
    with _one_at_a_time, warnings.catch_warnings():
        # `re` warns about [ or && in a set, which a later Python may read differently.
        warnings.simplefilter("ignore")
        re.compile(pattern, re.IGNORECASE)  # refuses more than the parser does: lookbehinds of any width
        tree = _parser.parse(pattern, re.IGNORECASE)
    return int(tree.state.flags), cast(Tree, tree)


def _explain(exc: re.error, pattern: str) -> str:
    said = f"The pattern does not compile: {exc.msg}"
    if exc.pos is None or exc.pos >= len(pattern):
        return f"{said}."
    character = pattern[exc.pos]
    said += f" at position {exc.pos} ({character if character.isprintable() else ascii(character)})."
    if character in r".^$*+?{}[]\|()":
        said += f" To mean the character itself, escape it as \\{character}"
    return said


def _refuse_costly(tree: Tree) -> None:
    if _expansion(tree) > MAX_EXPANSION:
        raise InvalidPattern(
            "The pattern nests too many repeats: written out, it would be too large to search for. "
            "Use smaller counts, or * for counts within counts."
        )


def _too_deep() -> InvalidPattern:
    return InvalidPattern("The pattern is nested too deeply to search for. Use fewer nested groups.")


def _expansion(tree: Tree, depth: int = 0) -> int:
    """How many nodes `regex` builds for a tree. It unrolls a repeat's minimum before its loop."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    return sum(
        _unrolled(str(op), arg) * (1 + sum(_expansion(part, depth + 1) for part in _parts(str(op), arg)))
        for op, arg in tree
    )


def _unrolled(op: str, arg: Any) -> int:
    return cast(int, arg[0]) + 1 if op.endswith("_REPEAT") else 1


def _parts(op: str, arg: Any) -> Iterator[Tree]:
    """The trees directly under a node."""
    match op:
        case "BRANCH":
            yield from arg[1]
        case "ATOMIC_GROUP":
            yield arg
        case "GROUPREF_EXISTS":
            yield from (part for part in arg[1:] if part is not None)
        case "SUBPATTERN" | "ASSERT" | "ASSERT_NOT" | "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            yield arg[-1]
        case _:
            return


# --- What is literal in a pattern


def _phrases(tree: Tree) -> list[str]:
    phrases = [""]
    for op, arg in tree:
        tails = _phrases_of(str(op), arg)
        phrases = [head + tail for head in phrases for tail in tails][:MAX_PHRASES]
    return phrases


def _phrases_of(op: str, arg: Any) -> list[str]:
    match op:
        case "LITERAL":
            return [chr(arg)]
        case "IN" if all(str(kind) == "LITERAL" for kind, _ in arg):
            return [chr(arg[0][1])]
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT" if arg[0] == 0:
            return ["" if arg[1] == 1 else " "]
        case "ASSERT_NOT" | "GROUPREF_EXISTS":
            return [" "]
        case _:
            return [phrase for part in _parts(op, arg) for phrase in _phrases(part)] or [" "]


# --- Writing a tree out for `regex`

_CASELESS = re.IGNORECASE
_TYPES = re.ASCII | re.LOCALE | re.UNICODE

_DOTTED = "Ii\u0130\u0131"
"""The same letter to `re` when case is ignored. `regex` distinguishes the Turkish ones."""

_CLASSES = {"WORD": r"\p{L}\p{N}_", "SPACE": r"\s\x1c-\x1f", "DIGIT": r"\d"}
_ASCII_CLASSES = {"WORD": "a-zA-Z0-9_", "SPACE": r"\x09-\x0d\x20", "DIGIT": "0-9"}


def _write_under(flags: int, tree: Tree) -> str:
    """A tree with explicit case sensitivity. `-f`: otherwise `regex` would match ss for ß."""
    switch = "i-f" if flags & _CASELESS else "-i"
    return f"(?{switch}:{_write(flags, tree)})"


def _write(flags: int, tree: Tree) -> str:
    return "".join(_write_node(flags, str(op), arg) for op, arg in tree)


def _write_node(flags: int, op: str, arg: Any) -> str:
    return _WRITERS[op](flags, arg)


def _write_literal(flags: int, code: int) -> str:
    if flags & _CASELESS and (flags & re.ASCII or chr(code) in _DOTTED):
        return _write_set(flags, [("LITERAL", code)])
    return _character(code)


def _write_other_literal(flags: int, code: int) -> str:
    return _write_set(flags, [("NEGATE", None), ("LITERAL", code)])


def _character(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\U{code:08x}"


def _write_set(flags: int, items: Tree) -> str:
    members = [(str(kind), arg) for kind, arg in items]
    negation = "^" if members[0][0] == "NEGATE" else ""
    ranges = [(arg, arg) if kind == "LITERAL" else arg for kind, arg in members if kind in _SPANS]
    text = f"{negation}{_classes(flags, members)}{''.join(map(_range, ranges))}"
    if not flags & _CASELESS:
        return f"[{text}]"
    if flags & re.ASCII or not ranges:
        return f"(?-i:[{text}{_other_case(ranges)}])"
    return f"[{text}{_DOTTED if any(map(_within(ranges), _DOTTED)) else ''}]"


_SPANS = ("LITERAL", "RANGE")


def _range(ends: tuple[int, int]) -> str:
    return "-".join(map(_character, ends))


def _within(ranges: list[tuple[int, int]]) -> Callable[[str], bool]:
    return lambda character: any(low <= ord(character) <= high for low, high in ranges)


def _other_case(ranges: list[tuple[int, int]]) -> str:
    """The ASCII letters that a set contains only in the other case."""
    return "".join(filter(_within(ranges), ascii_letters)).swapcase()


def _classes(flags: int, members: list[tuple[str, Any]]) -> str:
    names = (str(arg).removeprefix("CATEGORY_") for kind, arg in members if kind == "CATEGORY")
    return "".join(_class(flags, name) for name in names)


def _class(flags: int, name: str) -> str:
    if name.startswith("NOT_"):
        return f"[^{_class(flags, name.removeprefix('NOT_'))}]"
    return (_ASCII_CLASSES if flags & re.ASCII else _CLASSES)[name]


def _write_position(flags: int, position: object) -> str:
    """Anchors and word boundaries, expressed by the characters around them."""
    word = f"(?-i:[{_class(flags, 'WORD')}])"
    by_line = flags & re.MULTILINE
    return {
        "AT_BEGINNING": r"(?<![^\n])" if by_line else r"\A",
        "AT_BEGINNING_STRING": r"\A",
        "AT_END": r"(?![^\n])" if by_line else r"(?=\n?\Z)",
        "AT_END_STRING": r"\Z",
        "AT_BOUNDARY": f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))",
        "AT_NON_BOUNDARY": f"(?:(?<={word})(?={word})|(?<!{word})(?!{word}){_UNLESS_EMPTY})",
    }[str(position)]


_UNLESS_EMPTY = r"(?!\A\Z)" if sys.version_info < (3, 14) else ""
"""A condition for `\\B`: before Python 3.14 it does not match in an empty text."""


def _write_branch(flags: int, arg: Any) -> str:
    return f"(?:{'|'.join(_write(flags, tree) for tree in arg[1])})"


def _write_group(flags: int, arg: Any) -> str:
    number, added, removed, tree = arg
    kept = flags & ~_TYPES if added & _TYPES else flags
    inner = _write_under((kept | added) & ~removed, tree)
    return inner if number is None else f"({inner})"


def _write_repeat(flags: int, arg: Any) -> str:
    least, most, tree = arg
    return f"(?:{_write(flags, tree)}){{{least},{'' if most is _parser.MAXREPEAT else most}}}"


def _write_conditional(flags: int, arg: Any) -> str:
    number, yes, no = arg
    return f"(?({number})(?:{_write(flags, yes)})|(?:{_write(flags, no or ())}))"


def _write_look(sign: str) -> Callable[[int, Any], str]:
    return lambda flags, arg: f"(?{'<' if arg[0] < 0 else ''}{sign}{_write(flags, arg[1])})"


_WRITERS: dict[str, Callable[[int, Any], str]] = {
    "LITERAL": _write_literal,
    "NOT_LITERAL": _write_other_literal,
    "IN": _write_set,
    "ANY": lambda flags, _: "(?s:.)" if flags & re.DOTALL else "(?-s:.)",
    "AT": _write_position,
    "BRANCH": _write_branch,
    "SUBPATTERN": _write_group,
    "ATOMIC_GROUP": lambda flags, tree: f"(?>{_write(flags, tree)})",
    "MAX_REPEAT": _write_repeat,
    "MIN_REPEAT": lambda flags, arg: f"{_write_repeat(flags, arg)}?",
    "POSSESSIVE_REPEAT": lambda flags, arg: f"(?>{_write_repeat(flags, arg)})",
    "ASSERT": _write_look("="),
    "ASSERT_NOT": _write_look("!"),
    "FAILURE": lambda _flags, _arg: "(?!)",
    "GROUPREF": lambda _, number: rf"\g<{number}>",
    "GROUPREF_EXISTS": _write_conditional,
}
