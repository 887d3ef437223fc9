"""Writes a store as a pack: the same store always gives the same text, and loading it back changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, TypeVar

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput, NotFound
from mcp_agent_eval.lab.packs.entries import SECTIONS, as_entry
from mcp_agent_eval.lab.packs.flow_tools import flow_tools_in
from mcp_agent_eval.lab.packs.inventory import Inventory, inventory
from mcp_agent_eval.lab.packs.json_text import write_json
from mcp_agent_eval.lab.packs.yaml_writing import write_yaml
from mcp_agent_eval.types import Agent, Case, Json, Kind, Suite
from mcp_agent_eval.types.nouns import Noun

Format = Literal["yaml", "json"]

N = TypeVar("N", bound=Noun)


async def export(backend: Backend, suites: Collection[str] | None = None) -> Json:
    """Everything, or the suites with these names and all that they need, by section and then by name.

    Raises:
        NotFound: there is no suite with such a name.
        InvalidInput: a name is not unique, or a case's agent or persona was deleted; names all of them.
    """
    store = await inventory(backend)
    chosen = _everything(store) if suites is None else _needed(store, suites)
    problems = [*_not_unique(store, chosen), *_incomplete(store, chosen)]
    if problems:
        raise InvalidInput("\n".join(problems))
    return {
        section: [
            as_entry(kind, noun, store.name_of) for noun in sorted(chosen[kind], key=lambda noun: noun.name)
        ]
        for section, kind in SECTIONS.items()
        if chosen[kind]
    }


def as_text(pack: Json, format: Format) -> str:
    """A pack as the text of a file."""
    return write_json(pack) if format == "json" else write_yaml(pack)


_Chosen = Mapping[Kind, Sequence[Noun]]


def _everything(store: Inventory) -> _Chosen:
    return {kind: store.all(kind) for kind in SECTIONS.values()}


def _needed(store: Inventory, names: Collection[str]) -> _Chosen:
    """The suites with these names, their cases, and what those refer to."""
    suites = [suite for name in names for suite in _suites(store, name)]
    ids = {suite.id for suite in suites}
    cases = [case for case in _of(store, "case", Case) if case.suite_id in ids]
    wanted = {case.agent_id for case in cases} | {suite.agent_id for suite in suites}
    agents = [agent for agent in _of(store, "agent", Agent) if agent.id in wanted]
    callers = {case.persona_id for case in cases}
    return {
        "tool": _tools(store, agents, cases),
        "agent": agents,
        "persona": [persona for persona in store.all("persona") if persona.id in callers],
        "suite": suites,
        "case": cases,
    }


def _suites(store: Inventory, name: str) -> list[Suite]:
    if found := store.named("suite", name):
        return [suite for suite in found if isinstance(suite, Suite)]
    there = ", ".join(map(repr, sorted(store.names("suite")))) or "none"
    raise NotFound(f"There is no suite named {name!r}. There are: {there}.")


def _of(store: Inventory, kind: Kind, cls: type[N]) -> list[N]:
    return [noun for noun in store.all(kind) if isinstance(noun, cls)]


def _tools(store: Inventory, agents: Sequence[Agent], cases: Sequence[Case]) -> list[Noun]:
    """The shared tools that are attached to these agents or called by a flow."""
    attached = {id for agent in agents for id in agent.tool_ids}
    called = [
        *(
            name
            for agent in agents
            for name in flow_tools_in("agent", as_entry("agent", agent, store.name_of))
        ),
        *(name for case in cases for name in flow_tools_in("case", as_entry("case", case, store.name_of))),
    ]
    return [tool for tool in store.all("tool") if tool.id in attached or tool.name in called]


def _not_unique(store: Inventory, chosen: _Chosen) -> Iterator[str]:
    """Problems with names that would be read back as another noun, or as two."""
    for kind, nouns in chosen.items():
        for name in sorted({noun.name for noun in nouns}):
            if len(found := store.named(kind, name)) > 1:
                ids = ", ".join(sorted(noun.id for noun in found))
                yield f"There are {len(found)} {kind}s named {name!r}: {ids}. Rename or delete all but one."


def _incomplete(store: Inventory, chosen: _Chosen) -> Iterator[str]:
    """Problems with cases that refer to deleted nouns and so could not be created again."""
    for case in chosen["case"]:
        if isinstance(case, Case):
            if not store.name_of("agent", case.agent_id):
                yield f"The agent of the case {case.name!r} ({case.id}) was deleted. Delete the case as well."
            if not store.name_of("persona", case.persona_id):
                yield f"The persona of the case {case.name!r} ({case.id}) was deleted. Give it another persona."
