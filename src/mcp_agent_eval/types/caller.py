"""Who asks: found out at the door of a server, and asked by whatever lies behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcp_agent_eval.errors import InsufficientScope
from mcp_agent_eval.types.key import SCOPES

Action = Literal["read", "create", "update", "delete", "run"]


def scope_of(action: Action) -> str:
    """The contract's name of the scope that an action takes."""
    return f"agent_eval:{action}"


@dataclass(frozen=True, slots=True)
class Caller:
    """By what name its requests are counted, and which scopes it has; None is everything."""

    name: str
    scopes: frozenset[str] | None = None

    def require(self, action: Action) -> None:
        """Raises InsufficientScope where the action is not among what the caller may do."""
        scope = scope_of(action)
        if self.scopes is not None and scope not in self.scopes:
            wanted = " ".join(f"--scope {one}" for one in SCOPES if one in self.scopes or one == scope)
            raise InsufficientScope(
                f"This takes the scope {scope!r}, which the key does not have.",
                hint=f"Use a key that has it, too: mcp-agent-eval keys create NAME {wanted}",
            )
