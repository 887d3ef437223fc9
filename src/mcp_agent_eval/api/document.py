"""The published OpenAPI document: FastAPI's paths, parameters and operations with our own schemas."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mcp_agent_eval.api.schemas import components
from mcp_agent_eval.types import Json

BEARER = "bearer"
"""The name of the one security scheme."""


class DocumentedApi(FastAPI):
    """An app that publishes this document, which is built once, when it is first requested."""

    _document: Json | None = None

    def openapi(self) -> Json:
        """The document."""
        if self._document is None:
            self._document = _document(self)
        return self._document


def _document(app: FastAPI) -> Json:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document["components"] = {"schemas": components(), "securitySchemes": {BEARER: _SCHEME}}
    for path in cast(dict[str, dict[str, Json]], document["paths"]).values():
        for operation in path.values():
            _tidy(operation)
    return document


_SCHEME: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key created by `mcp-agent-eval keys create`. An API without keys is open to its own machine.",
}


def _tidy(operation: Json) -> None:
    """Remove what FastAPI adds: a response that is never sent, and titles that repeat names."""
    operation["responses"].pop("422", None)
    for parameter in cast(list[Json], operation.get("parameters", [])):
        parameter["schema"].pop("title", None)
