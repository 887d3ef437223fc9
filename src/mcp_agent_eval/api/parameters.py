"""Parameters in paths, queries and headers: ids, pages, filters, idempotency keys and preferences."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from starlette.requests import Request

from mcp_agent_eval.errors import InvalidId, InvalidInput
from mcp_agent_eval.types import Limit, Offset, RunStatus

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def _path_id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise InvalidId("The id in the path is not a UUID.", hint="GET / lists the endpoints.")
    return text.lower()


def _suite_run_id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise InvalidInput("suite_run_id in the path is not a UUID.")
    return text.lower()


def _uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError("must be a UUID")
    return text.lower()


def _plain_number(text: object) -> object:
    if isinstance(text, str) and not _DIGITS.fullmatch(text):
        raise ValueError("must be a whole number")
    return text


_AS_UUID = WithJsonSchema({"type": "string", "format": "uuid"})

Id = Annotated[str, Path(), AfterValidator(_path_id), _AS_UUID]
SuiteRunId = Annotated[str, Path(), AfterValidator(_suite_run_id), _AS_UUID]
Filter = Annotated[str, AfterValidator(_uuid), _AS_UUID]
Number = BeforeValidator(_plain_number)


class Nothing(BaseModel):
    """No query parameters."""


class Paging(BaseModel):
    """Which part of a list."""

    limit: Annotated[Limit, Number] = 20
    offset: Annotated[Offset, Number] = 0


class CaseQuery(Paging):
    """Which cases."""

    agent_id: Filter | None = None
    persona_id: Filter | None = None
    suite_id: Filter | None = None


class RunQuery(Paging):
    """Which runs."""

    case_id: Filter | None = None
    suite_id: Filter | None = None
    suite_run_id: Filter | None = None
    status: RunStatus | None = None


class CallQuery(BaseModel):
    """Which model calls of a run: starting at number `start`."""

    start: Annotated[Offset, Number] = 0
    limit: Annotated[Limit, Number] = 20


def only(query: type[BaseModel]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses unknown and repeated query parameters."""
    known = list(query.model_fields)

    async def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        if unknown := sorted(set(given) - set(known)):
            raise InvalidInput(
                f"There is no query parameter {', '.join(map(repr, unknown))}. {_there_are(known)}"
            )
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise InvalidInput(f"The query parameter {twice[0]!r} is given twice.")

    return check


def _there_are(known: list[str]) -> str:
    return f"There are: {', '.join(known)}." if known else "This endpoint takes none."


Key = Annotated[str, Field(min_length=1, max_length=200)]
"""A key chosen by the caller so that a repeated request creates nothing twice."""

IdempotencyKey = Annotated[
    Key | None,
    Header(
        alias="Idempotency-Key",
        description="A request repeated with the same key returns what the first one created.",
    ),
]


@dataclass(frozen=True, slots=True)
class Preference:
    """How long the caller wants to wait for a run, as in RFC 7240. Both null: as long as the server does."""

    respond_async: bool = False
    wait: int | None = None

    def seconds(self, most: float) -> float:
        """How long to wait."""
        if self.wait is not None:
            return min(self.wait, most)
        return 0 if self.respond_async else most

    def applied(self, most: float) -> str | None:
        """The value of `Preference-Applied`; a wait longer than the server allows is not applied."""
        honoured = ["respond-async"] if self.respond_async else []
        if self.wait is not None and self.wait <= most:
            honoured.append(f"wait={self.wait}")
        return ", ".join(honoured) or None


async def _preference(
    request: Request,
    prefer: Annotated[
        str | None,
        Header(description="`respond-async` answers 202 at once; `wait=N` waits at most N seconds."),
    ] = None,
) -> Preference:
    given = _preferences(",".join(request.headers.getlist("prefer")))
    wait = given.get("wait", "")
    return Preference("respond-async" in given, int(wait) if re.fullmatch(r"[0-9]{1,6}", wait) else None)


Prefer = Annotated[Preference, Depends(_preference)]


def _preferences(header: str) -> dict[str, str]:
    """Names and values in a `Prefer` header. The first of a repeated name counts; parameters after a semicolon
    belong to preferences that are not supported here."""
    found: dict[str, str] = {}
    for entry in header.split(","):
        name, _, value = entry.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
