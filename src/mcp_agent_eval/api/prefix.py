"""Handles a proxy that passes paths on unchanged: removes the server's public prefix for routing, and passes it to
REST, whose document has to name it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """Removes `prefix`, such as `/eval`, from paths that begin with it; others stay unchanged."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._prefix}/"):
            scope = {**scope, "path": scope["path"][len(self._prefix) :] or "/"}
        await self._app(scope, receive, send)


class Rooted:
    """Passes on requests as ASGI specifies for a prefix: in the path, and as the root path."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooted = {**scope, "root_path": self._prefix, "path": self._prefix + scope["path"]}
        await self._app(rooted, receive, send)
