"""How a noun is written in a file: references by name, without ids, times or default values.

Two nouns that are written the same are the same; that is how `load` knows what is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, cast

from pydantic import ValidationError

from mcp_agent_eval.lab.packs.flow_tools import flow_tools_in, with_flow_tools
from mcp_agent_eval.lab.packs.located import Path
from mcp_agent_eval.types import AgentDraft, Json, Kind
from mcp_agent_eval.types.base import TRUSTED
from mcp_agent_eval.types.nouns import DRAFTS, Draft

SECTIONS: Mapping[str, Kind] = {
    "tools": "tool",
    "agents": "agent",
    "personas": "persona",
    "suites": "suite",
    "cases": "case",
}
"""In an order in which they can be created: nothing refers to a later kind."""


class Reference(NamedTuple):
    """A field that refers to other nouns: its name in a file, the draft's field, and the kind it refers to."""

    written: str
    field: str
    kind: Kind


REFERENCES: Mapping[Kind, tuple[Reference, ...]] = {
    "tool": (),
    "agent": (Reference("shared_tools", "tool_ids", "tool"),),
    "persona": (),
    "suite": (Reference("agent", "agent_id", "agent"),),
    "case": (
        Reference("agent", "agent_id", "agent"),
        Reference("persona", "persona_id", "persona"),
        Reference("suite", "suite_id", "suite"),
    ),
}

Lookup = Callable[[Kind, str], str | None]
"""Maps an id to a name or the reverse; None if unknown."""


def written_name(kind: Kind, field: str) -> str:
    """The name in a file of a draft's field."""
    return next((one.written for one in REFERENCES[kind] if one.field == field), field)


def field_name(kind: Kind, written: str) -> str:
    """The draft's field with this name in a file."""
    return next((one.field for one in REFERENCES[kind] if one.written == written), written)


def as_draft(kind: Kind, entry: Json, look_up: Lookup) -> Json:
    """The fields of a draft from an entry, with referring names looked up; a flow stays unchanged."""
    draft = {field_name(kind, name): value for name, value in entry.items()}
    for reference in REFERENCES[kind]:
        if reference.field in draft:
            draft[reference.field] = _looked_up(draft[reference.field], reference.kind, look_up)
    return draft


def names_in(kind: Kind, entry: Json) -> Iterator[tuple[Reference, Path, str]]:
    """Every name by which an entry refers to another noun, and where."""
    for reference in REFERENCES[kind]:
        value: object = entry.get(reference.written)
        if isinstance(value, str):
            yield reference, (reference.written,), value
        elif isinstance(value, list):
            names = enumerate(cast(list[object], value))
            yield from (
                (reference, (reference.written, n), name) for n, name in names if isinstance(name, str)
            )


def as_entry(kind: Kind, noun: Draft, name_of: Lookup) -> Json:
    """A noun or draft as it is written. References without a name are left out."""
    fields = set(DRAFTS[kind].model_fields)
    body = _checked_again(kind, noun).model_dump(
        mode="json", include=fields, exclude_defaults=True, warnings=False
    )
    if isinstance(noun, AgentDraft):
        body = _with_own_tools(body, noun, name_of)
    if "success_criteria" in body:
        body["success_criteria"] = [_assertion(one) for one in body["success_criteria"]]
    body = with_flow_tools(kind, body, lambda id: name_of("tool", id))
    return _referring(kind, {name: _number(value) for name, value in body.items()}, name_of)


def _checked_again(kind: Kind, noun: Draft) -> Draft:
    """The noun with all of its parts as models, which a store need not create. An old noun may no longer fit."""
    body = noun.model_dump(mode="json", include=set(DRAFTS[kind].model_fields), warnings=False)
    try:
        found = DRAFTS[kind].model_validate(body, context=TRUSTED)
    except ValidationError:
        return noun
    # A name in place of an id would be treated as one and become lower case.
    return found.model_copy(update={one.field: getattr(noun, one.field) for one in REFERENCES[kind]})


def _with_own_tools(body: Json, agent: AgentDraft, name_of: Lookup) -> Json:
    """An agent without its shared tools, which are written separately. Those not called by its flow are attached:
    by `tool_ids`, or by the hosted API, which has no `tool_ids`."""
    shared = [tool.id for tool in agent.tools if tool.id and name_of("tool", tool.id)]
    tools = [tool for tool in cast(list[Json], body.get("tools", [])) if tool.get("id") not in shared]
    own = [{name: value for name, value in tool.items() if name != "id"} for tool in tools]
    entry = {name: own if name == "tools" else value for name, value in body.items()}
    called = flow_tools_in("agent", entry)
    attached = dict.fromkeys([*agent.tool_ids, *(id for id in shared if id not in called)])
    entry |= {"tool_ids": list(attached)}
    return {name: value for name, value in entry.items() if name != "tools" or own}


def _assertion(assertion: Json) -> Json:
    """Drop an assertion's empty fields: it is stored as it was given."""
    told = {name: _number(value) for name, value in assertion.items() if value is not None}
    return {name: value for name, value in told.items() if name != "weight" or value != 1}


def _number(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _referring(kind: Kind, body: Json, name_of: Lookup) -> Json:
    """The body with names in place of ids."""
    references = {one.field: one for one in REFERENCES[kind]}
    entry: Json = {}
    for field, value in body.items():
        if field not in references:
            entry[field] = value
        elif named := _looked_up(value, references[field].kind, name_of):
            entry[references[field].written] = named
    return entry


def _looked_up(value: object, kind: Kind, look_up: Lookup) -> object:
    """A reference or a list of them, looked up; unknown ones are left out."""
    if isinstance(value, list):
        names = cast(list[object], value)
        found = [look_up(kind, one) if isinstance(one, str) else one for one in names]
        return [one for one in found if one is not None]
    return look_up(kind, value) if isinstance(value, str) else value
