"""What a key allows, asked for by each route. Who sends the key is found out in front of this, by `access`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, cast

from starlette.requests import Request

from mcp_agent_eval.errors import InsufficientScope

Action = Literal["read", "create", "update", "delete", "run"]


def scope_of(action: Action) -> str:
    """The contract's name of the scope that an action takes."""
    return f"agent_eval:{action}"


def needs(action: Action) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses a key without the scope. Where no key is asked for, everything is allowed."""
    scope = scope_of(action)

    async def check(request: Request) -> None:
        granted = cast(frozenset[str] | None, request.scope.get("state", {}).get("scopes"))
        if granted is not None and scope not in granted:
            raise InsufficientScope(
                f"This takes the scope {scope!r}, which the key does not have.",
                hint=f"Use a key that has it: mcp-agent-eval keys create NAME --scope {scope}",
            )

    return check
