"""Finds which tools would really act in a run, which its user has to know before starting it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.types import Case, Json

_PAGE = 100


def acting_tools(case: Case, overrides: Json | None) -> list[str]:
    """The names of tools that act in a run of this case with these overrides; none under the policy `mock`."""
    if case.tool_policy == "mock":
        return []
    merged = case.agent_overrides | (overrides or {})
    known = list(_tools(case, merged))
    acting = known if case.tool_policy == "real" else [name for name in known if name in case.tool_allowlist]
    return acting + [name for name in _called_by_flow(merged) if name not in known]


async def acting_in_case(backend: Backend, case_id: str, overrides: Json | None) -> list[str]:
    """The same for a case by its id."""
    case = await backend.get("case", case_id)
    return acting_tools(case, overrides) if isinstance(case, Case) else []


async def acting_in_suite(backend: Backend, suite_id: str, overrides: Json | None) -> list[str]:
    """The same for all cases of a suite, each tool once."""
    found = [name async for case in _cases(backend, suite_id) for name in acting_tools(case, overrides)]
    return sorted(set(found))


def _tools(case: Case, overrides: Json) -> Iterator[str]:
    """The tools of the agent as it will run. Overrides are not checked yet, so read them as far as possible."""
    if isinstance(overrides.get("tools"), list):
        yield from filter(None, map(_name, cast(list[object], overrides["tools"])))
    elif case.agent:
        yield from (tool.name for tool in case.agent.tools if tool.type != "system")


def _called_by_flow(overrides: Json) -> Iterator[str]:
    """The tools called by an overriding flow's nodes, by name or id: what an id stands for is unknown here."""
    flow: object = overrides.get("flow_config")
    nodes: object = cast(Json, flow).get("nodes") if isinstance(flow, dict) else None
    for node in cast(list[object], nodes) if isinstance(nodes, list) else ():
        if isinstance(node, dict) and cast(Json, node).get("type") == "tool_call":
            yield str(cast(Json, node).get("tool_id"))


def _name(tool: object) -> str | None:
    """The name of a tool, in either of its shapes; None for one that only hangs up."""
    record = cast(Json, tool) if isinstance(tool, dict) else {}
    inner: object = record.get("function")
    named = cast(Json, inner) if isinstance(inner, dict) else record
    return None if named.get("type") == "system" else str(named.get("name"))


async def _cases(backend: Backend, suite_id: str) -> AsyncIterator[Case]:
    offset, more = 0, True
    while more:
        page = await backend.list("case", limit=_PAGE, offset=offset, suite_id=suite_id)
        for case in page.data:
            if isinstance(case, Case):
                yield case
        offset, more = offset + _PAGE, page.has_more
