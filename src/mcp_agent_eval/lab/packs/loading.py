"""Loads a pack: agents, personas, tools, suites and cases that refer to each other by name.

Loading is idempotent by name: missing nouns are created, different ones are updated, all others are left unchanged,
and nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import EvalError, InvalidInput
from mcp_agent_eval.lab.packs.entries import SECTIONS, as_draft, field_name, names_in
from mcp_agent_eval.lab.packs.files import Entry, Pack, Problem, pack_of
from mcp_agent_eval.lab.packs.flow_tools import with_flow_tools
from mcp_agent_eval.lab.packs.inventory import Inventory, inventory
from mcp_agent_eval.lab.packs.located import Path
from mcp_agent_eval.lab.packs.patience import patiently
from mcp_agent_eval.lab.packs.planning import Action, Plan, Step
from mcp_agent_eval.types import Json, Kind
from mcp_agent_eval.types.nouns import Noun

Ids = dict[Kind, dict[str, str]]


class Outcome(NamedTuple):
    """The outcome of an entry. `fields` are those that changed."""

    action: Action
    kind: Kind
    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        fields = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.action} {self.kind} {self.name!r}{fields}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was done, or would be done, in order."""

    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def names(self, action: Action) -> dict[Kind, list[str]]:
        """The nouns created, updated or left unchanged: names by kind."""
        found: dict[Kind, list[str]] = {}
        for outcome in self.outcomes:
            if outcome.action == action:
                found.setdefault(outcome.kind, []).append(outcome.name)
        return found

    def in_words(self) -> list[str]:
        """The changes, one noun per line."""
        return [str(outcome) for outcome in self.outcomes if outcome.action != "unchanged"]


class LoadFailed(InvalidInput):
    """A pack could not be loaded, or only in part: what is wrong, and what was written anyway."""

    def __init__(self, problems: Sequence[Problem], done: Loaded | None = None) -> None:
        self.problems = list(problems)
        self.done = done or Loaded()
        super().__init__("\n".join([*map(str, problems), *self.done.in_words()]))


async def load(backend: Backend, pack: Pack, *, dry_run: bool = False) -> Loaded:
    """Bring the store to the state of a pack.

    Raises:
        LoadFailed: something is wrong. Problems that can be found without the backend's own checks are found before
        anything is written; entries that the backend refuses are left out with all that refer to them, and the rest
        is written.
    """
    loaded, _ = await _load(backend, pack, dry_run=dry_run)
    return loaded


async def load_pack(backend: Backend, pack: Json) -> Ids:
    """Load a pack that is not in a file; return ids by kind and name.

    Raises:
        LoadFailed: an entry is wrong, or refers to a name that is not defined; says where.
    """
    _, ids = await _load(backend, pack_of(pack))
    return ids


async def _load(backend: Backend, pack: Pack, *, dry_run: bool = False) -> tuple[Loaded, Ids]:
    store = await inventory(backend)
    plan = Plan(pack, store)
    if problems := plan.problems:
        raise LoadFailed(problems)
    loading = _Loading(backend, store)
    if dry_run:
        return Loaded([_outcome(step) for step in plan.steps]), {}
    for step in plan.steps:
        await loading.take(step)
    if loading.problems:
        raise LoadFailed(loading.problems, loading.done)
    return loading.done, loading.ids


def _outcome(step: Step) -> Outcome:
    return Outcome(step.action, step.entry.kind, step.draft.name, step.changed)


class _Loading:
    """Takes the steps of a plan one after the other. It stops after a failure that is not an entry's fault."""

    def __init__(self, backend: Backend, store: Inventory) -> None:
        self.problems: list[Problem] = []
        self.done = Loaded()
        self.ids: Ids = {kind: {} for kind in SECTIONS.values()}
        self._backend = backend
        self._store = store
        self._failed: set[tuple[Kind, str]] = set()
        self._is_over = False

    async def take(self, step: Step) -> None:
        """Write an entry, unless it is already stored."""
        if self._is_over or self._waits_for_what_failed(step):
            self._failed.add((step.entry.kind, step.draft.name))
            return
        try:
            noun = await self._written(step)
        except EvalError as exc:
            self._failed.add((step.entry.kind, step.draft.name))
            self.problems += _refusals(step.entry, exc)
            self._is_over = not isinstance(exc, InvalidInput)
        else:
            self.ids[step.entry.kind][noun.name] = noun.id
            self.done.outcomes.append(_outcome(step))

    def _waits_for_what_failed(self, step: Step) -> bool:
        for reference, path, name in names_in(step.entry.kind, step.entry.body):
            if (reference.kind, name) in self._failed:
                text = f"was skipped, since the {reference.kind} {name!r} failed."
                self.problems.append(step.entry.problem(path, text))
                return True
        return False

    async def _written(self, step: Step) -> Noun:
        kind = step.entry.kind
        if step.stored is not None and not step.changed:
            return step.stored
        draft = as_draft(kind, step.entry.body, self._id)
        draft = with_flow_tools(kind, draft, lambda name: self._id("tool", name))
        if step.stored is None:
            return await patiently(lambda: self._backend.create(kind, draft))
        id, changes = step.stored.id, _changes(step, draft)
        return await patiently(lambda: self._backend.update(kind, id, changes))

    def _id(self, kind: Kind, name: str) -> str | None:
        """The id for a name: of a noun just loaded, else of one that existed before."""
        if id := self.ids[kind].get(name):
            return id
        found = self._store.named(kind, name)
        return found[0].id if len(found) == 1 else None


def _changes(step: Step, draft: Json) -> Json:
    """The fields that differ. Fields missing from the entry are reset to the default."""
    fields = [field_name(step.entry.kind, written) for written in step.changed]
    defaults = step.draft.model_dump(mode="json", include=set(fields))
    return {field: draft.get(field, defaults[field]) for field in fields}


def _refusals(entry: Entry, exc: EvalError) -> Iterator[Problem]:
    """The backend's problems, each at its place; for a flow, all of them."""
    issues: list[Json] = exc.as_dict().get("issues") or []
    if not issues:
        yield entry.pointed_problem(f"{exc.message} {exc.hint}" if exc.hint else exc.message)
    for issue in issues:
        yield entry.problem(
            _node(entry, issue.get("node_id")), f"{issue.get('message')} ({issue.get('code')})"
        )


def _node(entry: Entry, id: object) -> Path:
    """The place of a flow's node in an entry."""
    overridden: Path = () if entry.kind == "agent" else ("agent_overrides",)
    flow: Path = (*overridden, "flow_config")
    nodes = entry.located.at((*flow, "nodes"))
    found = nodes.parts.items() if nodes else ()
    return next(((*flow, "nodes", n) for n, node in found if _id_of(node.value) == id), flow)


def _id_of(node: object) -> object:
    return cast(Json, node).get("id") if isinstance(node, dict) else None
