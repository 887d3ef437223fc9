"""The queries of `sql/`, by name, in one dialect.

    -- name: get_{kind}
    -- for kind: agent, persona
    -- One noun, deleted or not.
    SELECT body FROM {kind}s
    WHERE id = :id
      AND deleted_at IS NULL    --? live

A query begins with its name and what it does. `for` makes one query for each word. A line that ends in `--?
parameter` is included only if that parameter is given and not None. Parts that differ between dialects are words in
braces, such as `{bigint}`, or `{list ids}` for the members of a list parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

_PACKAGE = "mcp_agent_eval.engine.store"
_WORD = re.compile(r"\{(\w+)(?: (\w+))?\}")
_NAME = re.compile(r"^-- name: ", re.MULTILINE)
_FOR = re.compile(r"^-- for (\w+): (.+)\n", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):(\w+)")
_OPTIONAL = re.compile(r"\s*--\? (\w+)$")


@dataclass(frozen=True)
class Dialect:
    """What a database writes differently: `words` for those in braces, `members` for the members of the list LIST,
    and `mark` in place of a parameter."""

    words: Mapping[str, str]
    members: str
    mark: str

    def render(self, text: str) -> str:
        """The text with every word in braces replaced. Raises KeyError for an unknown one."""
        return _WORD.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        word, argument = match.groups()
        return self.members.replace("LIST", argument) if word == "list" else self.words[word]


class Statement(NamedTuple):
    """SQL for a driver, and the parameter for each mark."""

    sql: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """One query. `lines` pairs each line with the parameter that it requires, if any."""

    name: str
    description: str
    lines: tuple[tuple[str, str | None], ...]
    mark: str

    def statement(self, parameters: Mapping[str, Any]) -> Statement:
        """The statement for these parameters: always the same object, since drivers cache by its text."""
        given = frozenset([name for name in self.optional if parameters.get(name) is not None])
        statement = self._statements.get(given)
        if statement is None:
            statement = self._statements[given] = self._write(given)
        return statement

    @cached_property
    def optional(self) -> frozenset[str]:
        """The parameters that lines depend on."""
        return frozenset(needed for _, needed in self.lines if needed)

    @cached_property
    def _statements(self) -> dict[frozenset[str], Statement]:
        return {}

    def _write(self, given: frozenset[str]) -> Statement:
        text = "\n".join(line for line, needed in self.lines if needed is None or needed in given)
        return Statement(_PARAMETER.sub(self.mark, text), tuple(_PARAMETER.findall(text)))


def load_queries(dialect: Dialect) -> dict[str, Query]:
    """Every query of the package. Raises ValueError when two have the same name."""
    queries: dict[str, Query] = {}
    for file in _files("sql"):
        for query in parse(file.read_text("utf-8"), dialect):
            if query.name in queries:
                raise ValueError(f"two queries are named {query.name}")
            queries[query.name] = query
    return queries


def load_migrations() -> dict[str, str]:
    """The steps of the schema by name, oldest first, before translation into a dialect."""
    return {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in _files("migrations")}


def parse(text: str, dialect: Dialect) -> Iterator[Query]:
    """The queries of one file."""
    for block in _NAME.split(text)[1:]:
        for expanded in _expand(block):
            yield _query(dialect.render(expanded), dialect.mark)


def script(text: str, dialect: Dialect) -> list[str]:
    """The statements of a migration. Each one ends with a semicolon at the end of a line."""
    lines = [line for line in dialect.render(text).splitlines() if not line.lstrip().startswith("--")]
    return [statement for part in "\n".join(lines).split(";\n") if (statement := part.strip().rstrip(";"))]


def _files(folder: str) -> list[Traversable]:
    root = resources.files(_PACKAGE) / folder
    return sorted((file for file in root.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)


def _expand(block: str) -> Iterator[str]:
    """The block once per word of its `for` line, or unchanged without one."""
    loop = _FOR.search(block)
    if loop is None:
        yield block
        return
    variable, words = loop.groups()
    for word in words.split(", "):
        yield _FOR.sub("", block).replace(f"{{{variable}}}", word)


def _query(block: str, mark: str) -> Query:
    name, *lines = block.splitlines()
    remarks = [line for line in lines if line.startswith("--")]
    code = [line for line in lines if line.strip() and not line.startswith("--")]
    description = " ".join(remark.removeprefix("--").strip() for remark in remarks)
    return Query(name.strip(), description, tuple(map(_line, code)), mark)


def _line(line: str) -> tuple[str, str | None]:
    condition = _OPTIONAL.search(line)
    return (line[: condition.start()], condition[1]) if condition else (line.rstrip().rstrip(";"), None)
