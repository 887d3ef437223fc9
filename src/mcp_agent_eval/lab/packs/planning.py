"""Plans what loading a pack would change: each entry is checked, looked up in the store by name, and compared.

Nothing is written here, so that all problems that need no check by the backend are reported before anything is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast

from pydantic import ValidationError

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.packs.entries import (
    REFERENCES,
    SECTIONS,
    as_draft,
    as_entry,
    field_name,
    names_in,
    written_name,
)
from mcp_agent_eval.lab.packs.files import Entry, Pack, Problem
from mcp_agent_eval.lab.packs.inventory import Inventory
from mcp_agent_eval.lab.packs.located import Path
from mcp_agent_eval.types import LOCAL_COMPANY, Json, Kind
from mcp_agent_eval.types.nouns import DRAFTS, FIXED, Draft, Noun
from mcp_agent_eval.validation import reject_unwritable

Action = Literal["created", "updated", "unchanged"]

_SHOWN = 8
_KINDS = list(SECTIONS.values())


@dataclass(frozen=True, slots=True)
class Step:
    """What to do for an entry. `changed` are the fields that differ, as they are written."""

    entry: Entry
    draft: Draft
    stored: Noun | None
    changed: tuple[str, ...] = ()

    @property
    def action(self) -> Action:
        """Whether the entry will be created, updated or left unchanged."""
        if self.stored is None:
            return "created"
        return "updated" if self.changed else "unchanged"


class Plan:
    """The steps in the order in which they can be taken, and every problem in the order of the files."""

    def __init__(self, pack: Pack, store: Inventory) -> None:
        self.steps: list[Step] = []
        self._pack = pack
        self._store = store
        self._places = _by_name(pack)
        self._problems = list(pack.problems)
        for entry in sorted(pack.entries, key=lambda entry: _KINDS.index(entry.kind)):
            self._add(entry)

    @property
    def problems(self) -> list[Problem]:
        """The problems, file by file from the top."""
        order = {file: n for n, file in enumerate(dict.fromkeys(problem.file for problem in self._problems))}
        order |= {file: n for n, file in enumerate(dict.fromkeys(entry.file for entry in self._pack.entries))}
        return sorted(self._problems, key=lambda problem: (order[problem.file], problem.line))

    def _add(self, entry: Entry) -> None:
        draft, problems = checked(entry)
        problems += [*self._named_twice(entry), *self._unknown_names(entry)]
        if draft:
            step, wrong = self._step(entry, draft)
            told = {problem.path for problem in problems}
            problems += [problem for problem in wrong if problem.path not in told]
            self.steps.append(step)
        self._problems += problems

    def _named_twice(self, entry: Entry) -> Iterator[Problem]:
        first = self._places[entry.kind, entry.name][0] if entry.name is not None else entry
        if first is not entry:
            text = f"there is another {entry.kind} named {entry.name!r}: see {first.place}."
            yield entry.problem(("name",), text)

    def _unknown_names(self, entry: Entry) -> Iterator[Problem]:
        """References to names that are neither in the pack nor in the store, or in the store more than once."""
        for reference, path, name in names_in(entry.kind, entry.body):
            if (reference.kind, name) in self._places:
                continue
            found = self._store.named(reference.kind, name)
            if len(found) > 1:
                yield entry.problem(path, _several(reference.kind, found))
            elif not found and self._pack.whole:
                yield entry.problem(path, self._nothing(reference.kind, name))

    def _step(self, entry: Entry, draft: Draft) -> tuple[Step, list[Problem]]:
        found = self._store.named(entry.kind, draft.name)
        if len(found) > 1:
            return Step(entry, draft, None), [entry.problem(("name",), _several(entry.kind, found))]
        if not found:
            return Step(entry, draft, None), []
        changed = _differing(entry.kind, draft, found[0], self._store)
        return Step(entry, draft, found[0], changed), list(_fixed(entry, changed))

    def _nothing(self, kind: Kind, name: str) -> str:
        """The existing names, similar ones first."""
        known = sorted({*(name for of, name in self._places if of == kind), *self._store.names(kind)})
        likely = list(dict.fromkeys([*get_close_matches(name, known), *known]))[:_SHOWN]
        more = f" and {len(known) - len(likely)} more" if len(known) > len(likely) else ""
        there = (
            f"There are: {', '.join(map(repr, likely))}{more}." if known else f"There are no {kind}s at all."
        )
        return f"there is no {kind} named {name!r}. {there}"


def checked(entry: Entry) -> tuple[Draft | None, list[Problem]]:
    """The draft for an entry, with names in place of ids, or everything that is wrong with it."""
    problems = list(_ids_given(entry))
    draft = as_draft(entry.kind, entry.body, _name_itself)
    try:
        reject_unwritable(entry.body)
        found = DRAFTS[entry.kind].model_validate(as_draft(entry.kind, entry.body, _stand_in))
    except ValidationError as exc:
        return None, problems + list(_misfits(entry, exc))
    except InvalidInput as exc:
        return None, [*problems, entry.problem((), exc.message)]
    references = {one.field for one in REFERENCES[entry.kind]} & draft.keys()
    return found.model_copy(update={field: draft[field] for field in references}), problems


def _ids_given(entry: Entry) -> Iterator[Problem]:
    """Problems with ids, which only have a meaning in one store."""
    for reference in REFERENCES[entry.kind]:
        if reference.field in entry.body:
            yield entry.problem((reference.field,), f"refer to it by its name: {reference.written}.")
    tools: object = entry.body.get("tools")
    for index, tool in enumerate(cast(list[object], tools) if isinstance(tools, list) else []):
        if isinstance(tool, dict) and cast(Json, tool).get("id") is not None:
            yield entry.problem(("tools", index, "id"), "ids are assigned by the store: leave it out.")


def _misfits(entry: Entry, exc: ValidationError) -> Iterator[Problem]:
    """Every problem. The message of a rule about several fields may name one of them."""
    for problem in exc.errors(include_url=False, include_context=False, include_input=False):
        if loc := problem["loc"]:
            path: Path = (written_name(entry.kind, str(loc[0])), *loc[1:])
            yield entry.problem(path, _explained(entry.kind, problem["type"], problem["msg"], path))
        else:
            yield entry.pointed_problem(_explained(entry.kind, problem["type"], problem["msg"], ()))


def _explained(kind: Kind, type: str, message: str, path: Path) -> str:
    """Pydantic's problems, in the words that a backend would use."""
    if type == "extra_forbidden":
        fields = ", ".join(written_name(kind, field) for field in DRAFTS[kind].model_fields)
        return (
            f"there is no such field. The fields are: {fields}."
            if len(path) == 1
            else "there is no such field."
        )
    if type == "missing":
        return "is required."
    text = message.removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}."


def _name_itself(_: Kind, name: str) -> str:
    return name


def _stand_in(_kind: Kind, _name: str) -> str:
    """A placeholder id for a noun that may not have one yet."""
    return LOCAL_COMPANY


def _by_name(pack: Pack) -> Mapping[tuple[Kind, str], list[Entry]]:
    found: dict[tuple[Kind, str], list[Entry]] = {}
    for entry in pack.entries:
        if entry.name is not None:
            found.setdefault((entry.kind, entry.name), []).append(entry)
    return found


def _several(kind: Kind, found: list[Noun]) -> str:
    ids = ", ".join(sorted(noun.id for noun in found))
    return f"there are {len(found)} {kind}s named {found[0].name!r} in the store: {ids}. Rename or delete all but one."


def _differing(kind: Kind, draft: Draft, stored: Noun, store: Inventory) -> tuple[str, ...]:
    """The fields that differ from the stored ones, as they are written."""
    wanted = as_entry(kind, draft, _name_itself)
    found = as_entry(kind, stored, store.name_of)
    fields = dict.fromkeys([*wanted, *found])
    return tuple(field for field in fields if not same(wanted.get(field, _ABSENT), found.get(field, _ABSENT)))


def _fixed(entry: Entry, changed: tuple[str, ...]) -> Iterator[Problem]:
    for field in changed:
        if reason := FIXED[entry.kind].get(field_name(entry.kind, field)):
            text = (
                f"cannot be changed. {reason} Give this entry another name, then it is another {entry.kind}."
            )
            yield entry.problem((field,), text)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: a boolean is not a number, and 1 equals 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast(dict[str, object], one), cast(dict[str, object], other)
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(one, list) and isinstance(other, list):
        first, second = cast(list[object], one), cast(list[object], other)
        return len(first) == len(second) and all(map(same, first, second))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


_ABSENT = object()
