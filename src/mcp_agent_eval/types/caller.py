"""Who is calling: determined where a request enters a server, and checked by the code behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcp_agent_eval.errors import InsufficientScope
from mcp_agent_eval.types.key import SCOPES

Action = Literal["read", "create", "update", "delete", "run"]


def scope_of(action: Action) -> str:
    """The contract's name for the scope that an action requires."""
    return f"agent_eval:{action}"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: the name under which its requests are counted, and its scopes; None means all of them."""

    name: str
    scopes: frozenset[str] | None = None

    def require(self, action: Action) -> None:
        """Raise InsufficientScope if the caller may not do this action."""
        scope = scope_of(action)
        if self.scopes is not None and scope not in self.scopes:
            wanted = " ".join(f"--scope {one}" for one in SCOPES if one in self.scopes or one == scope)
            raise InsufficientScope(
                f"This needs the scope {scope!r}, which the key does not have.",
                hint=f"Use a key that has it: mcp-agent-eval keys create NAME {wanted}",
            )
