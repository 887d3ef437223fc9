"""Describes this API and all of its endpoints, for anyone without documentation and without a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.api.routes.endpoints import Answers, Operation, add
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.types import Capabilities, Json


class Root:
    """The entry point."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def welcome(self, request: Request) -> Response:
        """The name and version, the extensions to the contract, and every endpoint with the scope that it needs."""
        app = cast(FastAPI, request.app)
        return answer(
            {
                "name": app.title,
                "version": app.version,
                "extensions": _extensions(await self._backend.capabilities()),
                "endpoints": list(_endpoints(app.openapi())),
            }
        )


def add_root(app: FastAPI, backend: Backend) -> None:
    """The list of endpoints, at `/`; HEAD is for checks whether the server is up."""
    root = Root(backend)
    add(app, root.welcome, _ROOT)
    app.add_route("/", root.welcome, methods=["HEAD"], include_in_schema=False)


def _extensions(can: Capabilities) -> list[str]:
    """What this API does beyond the contract, with the backend that it has."""
    offered = {
        "idempotency_key": can.keeps_idempotency_keys,
        "respond_async": True,
        "model_calls": can.shows_model_calls,
        "judge": can.judges,
        "create_agents": can.creates_agents,
    }
    return [name for name, is_there in offered.items() if is_there]


def _endpoints(document: Json) -> Iterator[Json]:
    for path, operations in cast(dict[str, dict[str, Json]], document["paths"]).items():
        for method, operation in operations.items():
            yield {
                "method": method.upper(),
                "path": path,
                "scope": _scope(operation),
                "summary": operation["summary"],
            }


def _scope(operation: Json) -> str | None:
    for requirement in cast(list[dict[str, list[str]]], operation.get("security", [])):
        for scopes in requirement.values():
            return scopes[0]
    return None


_ROOT = Operation(
    id="list_endpoints",
    method="GET",
    path="/",
    summary="List the endpoints",
    tag="discovery",
    action=None,
    answers={200: Answers("Welcome", "What this API is.")},
)
