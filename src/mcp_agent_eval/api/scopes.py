"""Checks the scope that each route needs. The caller was already determined by `access`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from starlette.requests import Request

from mcp_agent_eval.types.caller import Action, Caller


def needs(action: Action) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses a key without the scope. If no key is required, everything is allowed."""

    async def check(request: Request) -> None:
        caller = cast(Caller | None, request.scope.get("state", {}).get("caller"))
        if caller is not None:
            caller.require(action)

    return check
