"""Reads evals from files, entry by entry, and collects everything that keeps them from being read.

Every entry knows its file and line. What an entry means, and whether it is valid, is decided in `planning`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import NamedTuple, cast

from mcp_agent_eval.lab.packs.entries import SECTIONS
from mcp_agent_eval.lab.packs.json_text import read_json
from mcp_agent_eval.lab.packs.located import Fault, Located, Path, Unreadable, plain, pointed, spelled
from mcp_agent_eval.lab.packs.yaml_reading import read_yaml
from mcp_agent_eval.types import Json, Kind

_SUFFIXES = (".yaml", ".yml", ".json")


class Problem(NamedTuple):
    """What is wrong, and where: `file:line: path: what`, or `section[2]: path: what` without a file."""

    file: str
    line: int
    path: Path
    text: str

    def __str__(self) -> str:
        if self.file:
            parts = [f"{self.file}:{self.line}" if self.line else self.file, spelled(self.path)]
        else:
            parts = [spelled(self.path[:2]), spelled(self.path[2:])]
        return ": ".join([*filter(None, parts), self.text])


class Source(NamedTuple):
    """A file or other input: its name for messages, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One noun as it is written. `path` is its place in the file."""

    kind: Kind
    file: str
    path: Path
    located: Located

    @property
    def body(self) -> Json:
        """Its fields."""
        return cast(Json, self.located.value)

    @property
    def name(self) -> str | None:
        """Its name, if it has a possible one."""
        name: object = self.body.get("name")
        return name if isinstance(name, str) else None

    @property
    def place(self) -> str:
        """Its place, for a message."""
        return f"{self.file}:{self.located.line}" if self.file else spelled(self.path)

    def problem(self, path: Path, text: str) -> Problem:
        """What is wrong at a path within it."""
        return Problem(self.file, self.located.line_of(path), (*self.path, *path), text)

    def pointed_problem(self, text: str) -> Problem:
        """The same for a message that may begin with its path."""
        path, rest = pointed(text)
        return self.problem(path, rest) if path and path[0] in self.body else self.problem((), text)


@dataclass(frozen=True, slots=True)
class Pack:
    """The entries of several files that refer to each other. It is `whole` if every file could be read."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
    whole: bool = True


def read_files(names: Iterable[str], stdin: Callable[[], bytes]) -> Pack:
    """Read these files and folders; `-` is standard input. Errors are collected as problems."""
    found = [item for name in dict.fromkeys(names) for item in _sources(name, stdin)]
    read = read_pack(dict.fromkeys(item for item in found if isinstance(item, Source)))
    missing = tuple(item for item in found if isinstance(item, Problem))
    return Pack(read.entries, (*missing, *read.problems), read.whole and not missing)


def read_pack(sources: Iterable[Source]) -> Pack:
    """Read several files. Nothing is raised: errors are collected as problems."""
    packs = [_read(source) for source in sources]
    return Pack(
        tuple(entry for pack in packs for entry in pack.entries),
        tuple(problem for pack in packs for problem in pack.problems),
        all(pack.whole for pack in packs),
    )


def pack_of(value: Json) -> Pack:
    """A pack that is not in a file."""
    problems: list[Problem] = []
    return Pack(tuple(_entries("", plain(value), problems)), tuple(problems))


def _sources(name: str, stdin: Callable[[], bytes]) -> Iterator[Source | Problem]:
    """A file, the files of a folder, or the problem why there are none."""
    if name == "-":
        yield Source("<stdin>", stdin())
        return
    try:
        files = _files_in(File(name))
    except OSError as exc:
        yield _unreadable(name, exc)
        return
    yield from map(_source, files)
    if not files:
        yield Problem(name, 0, (), f"is a folder without any file that ends in {', '.join(_SUFFIXES)}.")


def _source(file: File) -> Source | Problem:
    try:
        return Source(str(file), file.read_bytes())
    except OSError as exc:
        return _unreadable(str(file), exc)


def _unreadable(name: str, exc: OSError) -> Problem:
    return Problem(name, 0, (), f"cannot be read: {exc.strerror}.")


def _files_in(path: File) -> list[File]:
    """A file, or a folder's files that may contain evals, by name, without hidden ones. Broken links are included,
    so that their missing targets are reported."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in _SUFFIXES
        and not file.name.startswith(".")
        and (file.is_file() or not file.exists())
    )


def _read(source: Source) -> Pack:
    try:
        text = _decoded(source.content)
        located, faults = _reader(source.name, text)(text)
        problems = [Problem(source.name, *fault) for fault in faults]
        return Pack(tuple(_entries(source.name, located, problems)), tuple(problems))
    except Unreadable as exc:
        return Pack((), (Problem(source.name, *exc.fault),), whole=False)


def _reader(name: str, text: str) -> Callable[[str], tuple[Located, list[Fault]]]:
    """Read by suffix; input without one of ours, such as from a pipe, is JSON if it looks like it."""
    suffix = File(name).suffix.lower()
    if suffix == ".json" or (suffix not in _SUFFIXES and text.lstrip().startswith("{")):
        return read_json
    return read_yaml


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(1, "is UTF-16: save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise Unreadable(line, f"is not UTF-8: there is a byte 0x{content[exc.start]:02x}.") from None
    if not text.strip():
        raise Unreadable(1, f"is empty. {_SHAPE}")
    return text


def _entries(file: str, whole: Located, problems: list[Problem]) -> Iterator[Entry]:
    """The entries of a file; anything else becomes a problem."""
    if not isinstance(whole.value, dict):
        problems.append(Problem(file, whole.line, (), f"is {_what(whole.value)}. {_SHAPE}"))
        return
    for section, part in cast(Mapping[str, Located], whole.parts).items():
        if section not in SECTIONS:
            problems.append(Problem(file, part.line, (section,), f"there is no such section. {_SHAPE}"))
        elif part.value is not None and not isinstance(part.value, list):
            text = f"must be a list of {section}, but is {_what(part.value)}."
            problems.append(Problem(file, part.line, (section,), text))
        else:
            yield from _section(file, section, part, problems)


def _section(file: str, section: str, part: Located, problems: list[Problem]) -> Iterator[Entry]:
    for index, located in cast(Mapping[int, Located], part.parts).items():
        path = (section, index)
        if isinstance(located.value, dict):
            yield Entry(SECTIONS[section], file, path, located)
        else:
            text = f"must be a mapping of fields, but is {_what(located.value)}."
            problems.append(Problem(file, located.line, path, text))


def _what(value: object) -> str:
    """A kind of value, in words."""
    if value is None:
        return "empty"
    words: dict[type[object], str] = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean"}
    return words.get(type(value), "a number")


_SHAPE = f"A file of evals is a mapping with any of the sections {', '.join(SECTIONS)}."
