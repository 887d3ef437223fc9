"""Reads YAML as a notation for JSON, with the line of every value.

An unquoted word is a number, a boolean or null only if it looks like one in JSON. Dates, `yes`, `no` and 12:30 are
strings: the older YAML rules, which PyYAML follows by default, turn them into booleans or 750.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any, cast

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from mcp_agent_eval.lab.packs.located import (
    MOST_LEVELS,
    TOO_LARGE,
    Fault,
    Located,
    Path,
    Unreadable,
    mapping,
    reject_monsters,
    sequence,
)

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_TRUTH = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def read_yaml(text: str) -> tuple[Located, list[Fault]]:
    """The value, and its problems that did not prevent reading it. An empty text is null.

    Raises:
        Unreadable: the text is not YAML, contains several documents, or has an alias within its own anchor.
    """
    builder = _Builder()
    try:
        node = _Loader(text).get_single_node()
        whole = builder.build(node, ()) if node else Located(None, 1)
    except RecursionError:
        raise Unreadable(1, f"is nested more than {MOST_LEVELS} levels deep.") from None
    except yaml.YAMLError as exc:
        raise _unreadable(exc, text) from None
    reject_monsters(whole)
    return whole, builder.faults


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """From text to nodes, with our rules for unquoted words."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)


class _Builder:
    """From nodes to values. Each node is built once, however many aliases refer to it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._built: dict[Node, Located] = {}
        self._open: set[Node] = set()

    def build(self, node: Node, path: Path) -> Located:
        if node in self._open:
            raise Unreadable(_line(node), "an alias is inside the value that it refers to.")
        if node not in self._built:
            self._open.add(node)
            self._built[node] = self._new(node, path)
            self._open.remove(node)
        return self._built[node]

    def _new(self, node: Node, path: Path) -> Located:
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return mapping(self._fields(node, path), _line(node))
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            items = cast(list[Node], node.value)
            return sequence([self.build(item, (*path, n)) for n, item in enumerate(items)], _line(node))
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return Located(self._scalar(node, path), _line(node))
        self._fault(node, path, f"the tag {node.tag!r} has no meaning here.")
        return Located(None, _line(node))

    def _fields(self, node: MappingNode, path: Path) -> dict[str, Located]:
        """A mapping's own fields, preceded by those that it merges in with `<<`."""
        merged: dict[str, Located] = {}
        own: dict[str, Located] = {}
        for key, value in cast(list[tuple[Node, Node]], node.value):
            if key.tag == f"{_TAG}merge":
                merged = self._merged(value, path) | merged
            elif (name := self._name(key, path)) is not None:
                if name in own:
                    self._fault(key, (*path, name), f"is given twice, first on line {own[name].line}.")
                own[name] = replace(self.build(value, (*path, name)), line=_line(key))
        return merged | own

    def _merged(self, node: Node, path: Path) -> dict[str, Located]:
        """The fields of a mapping, or of a list of them in which earlier ones take precedence."""
        found = self.build(node, path)
        sources = [found] if isinstance(found.value, dict) else list(found.parts.values())
        if not sources or not all(isinstance(source.value, dict) for source in sources):
            self._fault(node, path, "what `<<` merges must be a mapping, or a list of mappings.")
            return {}
        merged: dict[str, Located] = {}
        for source in sources:
            merged = cast(dict[str, Located], dict(source.parts)) | merged
        return merged

    def _name(self, key: Node, path: Path) -> str | None:
        if isinstance(key, ScalarNode) and key.tag == f"{_TAG}str":
            return _text(key)
        shown = repr(key.value) if isinstance(key, ScalarNode) else "a list or mapping"
        self._fault(key, path, f"the name of a field must be a string, but {shown} is not: put it in quotes.")
        return None

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        try:
            return _SCALARS[node.tag](node)
        except ValueError as exc:
            self._fault(node, path, str(exc))
            return None

    def _fault(self, node: Node, path: Path, text: str) -> None:
        self.faults.append(Fault(_line(node), path, text))


def _line(node: Node) -> int:
    return cast(int, cast(Any, node.start_mark).line) + 1


def _text(node: ScalarNode) -> str:
    """A string; a character that JSON writes as two escapes is joined."""
    return _PAIR.sub(lambda found: found[0].encode("utf-16", "surrogatepass").decode("utf-16"), _raw(node))


def _raw(node: ScalarNode) -> str:
    return cast(str, node.value)


def _integer(node: ScalarNode) -> int:
    if not _INTEGER.match(_raw(node)):
        raise ValueError(f"{_raw(node)!r} is not a whole number.")
    try:
        return int(_raw(node))
    except ValueError:
        raise ValueError(TOO_LARGE) from None


def _float(node: ScalarNode) -> float:
    if not _NUMBER.match(_raw(node)):
        raise ValueError(f"{_raw(node)!r} is not a number.")
    if not math.isfinite(value := float(_raw(node))):
        raise ValueError(TOO_LARGE)
    return value


def _truth(node: ScalarNode) -> bool:
    if not _TRUTH.match(_raw(node)):
        raise ValueError(f"{_raw(node)!r} is neither true nor false.")
    return _raw(node).lower() == "true"


def _null(node: ScalarNode) -> None:
    if not _NULL.match(_raw(node)):
        raise ValueError(f"{_raw(node)!r} is not null.")


_SCALARS = {
    f"{_TAG}str": _text,
    f"{_TAG}merge": _text,
    f"{_TAG}int": _integer,
    f"{_TAG}float": _float,
    f"{_TAG}bool": _truth,
    f"{_TAG}null": _null,
}
_WORDS = (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _TRUTH, list("tTfF")),
    ("int", _INTEGER, list("-0123456789")),
    ("float", _NUMBER, list("-0123456789")),
    ("merge", re.compile(r"<<\Z"), ["<"]),
)


def _unreadable(exc: yaml.YAMLError, text: str) -> Unreadable:
    """PyYAML's errors in plain words."""
    if isinstance(exc, ReaderError):
        line = text.count("\n", 0, exc.position) + 1
        return Unreadable(
            line,
            f"the character U+{ord(text[exc.position]):04X} must be written as an escape in double quotes.",
        )
    problem = cast(yaml.MarkedYAMLError, exc)
    mark = cast(Any, problem.problem_mark or problem.context_mark)
    if text[mark.index : mark.index + 1] == "\t":
        return Unreadable(mark.line + 1, "a tab is used where only spaces are allowed: indent with spaces.")
    what = ", ".join(filter(None, (problem.context, problem.problem)))
    return Unreadable(mark.line + 1, f"is not YAML: {what}.")


for _kind, _pattern, _first in _WORDS:
    cast(Any, _Loader).add_implicit_resolver(f"{_TAG}{_kind}", _pattern, _first)
