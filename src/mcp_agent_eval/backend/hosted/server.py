"""What the hosted server can do beyond the contract: read once from its own list."""

from __future__ import annotations

from typing import Literal

from mcp_agent_eval.backend.hosted.client import ApiClient, Unreachable
from mcp_agent_eval.backend.hosted.reading import texts
from mcp_agent_eval.errors import EvalError

Extension = Literal["idempotency_key", "respond_async", "model_calls", "judge", "create_agents"]


class Server:
    """The server and its extensions. A server that lists none, like the vendor's, has none."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._extensions: frozenset[str] | None = None

    async def has(self, extension: Extension) -> bool:
        """Whether the server says that it has this."""
        if self._extensions is None:
            self._extensions = await self._ask()
        return extension in (self._extensions or ())

    async def _ask(self) -> frozenset[str] | None:
        """Its list; None if it could not be reached, which says nothing about its extensions."""
        try:
            return frozenset(texts(await self._client.get("/"), "extensions"))
        except Unreachable:
            return None
        except EvalError:
            return frozenset()
