"""Keys of the REST API and what each of them may do. A key's secret is not part of it."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, Field

from mcp_agent_eval.types.base import Model, Moment, Text

Scope = Literal[
    "agent_eval:read", "agent_eval:create", "agent_eval:update", "agent_eval:delete", "agent_eval:run"
]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Everything that a key can allow."""


def _printable(name: str) -> str:
    # Names are shown in terminals, where control characters do more than show.
    if not name.isprintable():
        raise ValueError("must be a single line of printable characters")
    return name


class KeyDraft(Model):
    """A key as a user describes it. Without `expires_at` it lasts until it is revoked."""

    name: Annotated[Text, Field(max_length=100), AfterValidator(_printable)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = SCOPES
    expires_at: AwareDatetime | None = None


class ApiKey(Model):
    """A key as it is stored. `hint` is the beginning of its secret, to tell keys apart."""

    id: str
    name: str
    hint: str
    scopes: tuple[Scope, ...]
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
