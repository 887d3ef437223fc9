"""Turns references by callers, a name or an id prefix, into ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated, Any, cast

from mcp.server.mcpserver import Resolve

from mcp_agent_eval.backend.base import Backend, Reference
from mcp_agent_eval.errors import NotFound
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.types import Json, Kind
from mcp_agent_eval.types.nouns import DRAFTS

_TOOL_IDS = "tool_ids"
_KINDS: Mapping[str, Reference] = {
    "agent_id": "agent",
    "persona_id": "persona",
    "case_id": "case",
    "suite_id": "suite",
    "suite_run_id": "suite_run",
}
"""The fields that name something, with its kind."""


async def found(backend: Backend, **references: str | None) -> dict[str, str | None]:
    """The ids for references, by field. Raises NotFound, AmbiguousReference."""
    return {
        field: await backend.find(_KINDS[field], reference) if reference else None
        for field, reference in references.items()
    }


async def with_ids(backend: Backend, kind: Kind, fields: Json, *, but: Collection[str] = ()) -> Json:
    """A noun's fields with ids in place of names. Values that cannot be references are left to be refused."""
    known = DRAFTS[kind].model_fields.keys() - set(but)
    return {
        field: await _with_ids(backend, field, value) if field in known else value
        for field, value in fields.items()
    }


async def _with_ids(backend: Backend, field: str, value: Any) -> Any:
    if field == _TOOL_IDS and isinstance(value, list):
        return [await _id(backend, "tool", item) for item in cast(list[Any], value)]
    return await _id(backend, _KINDS[field], value) if field in _KINDS else value


async def _id(backend: Backend, kind: Reference, value: Any) -> Any:
    return await backend.find(kind, value) if isinstance(value, str) and value else value


async def found_case(ctx: Ctx, case_id: str) -> str:
    """The case of a call, resolved once for all who need it."""
    return await (await connection(ctx)).backend.find("case", case_id)


async def found_suite(ctx: Ctx, suite_id: str) -> str:
    """The suite of a call, resolved once for all who need it."""
    return await (await connection(ctx)).backend.find("suite", suite_id)


FoundCase = Annotated[str, Resolve(found_case)]
FoundSuite = Annotated[str, Resolve(found_suite)]


async def found_run(backend: Backend, reference: str) -> str:
    """The id of a run. Raises NotFound, which says what to call if it is a suite run."""
    try:
        return await backend.find("run", reference)
    except NotFound:
        if id := await found_or_none(backend, "suite_run", reference):
            raise NotFound(
                f"{id} is a suite run, not a run.", hint=f'Call get_aggregate(suite_run_id="{id}").'
            ) from None
        raise


async def found_suite_run(backend: Backend, reference: str) -> str:
    """The id of a suite run. Raises NotFound, which says what to call if it is a run."""
    try:
        return await backend.find("suite_run", reference)
    except NotFound:
        if id := await found_or_none(backend, "run", reference):
            raise NotFound(f"{id} is a run, not a suite run.", hint=f'Call get_run(run_id="{id}").') from None
        raise


async def found_or_none(backend: Backend, kind: Reference, reference: str) -> str | None:
    """The id for a reference, or None if nothing matches. Raises AmbiguousReference."""
    with suppress(NotFound):
        return await backend.find(kind, reference)
    return None
