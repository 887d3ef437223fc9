"""Behind a proxy that passes paths on as they are: the prefix under which the server is reached, taken off for
routing and told to REST, whose document has to name it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """Takes `prefix`, such as `/eval`, off the paths that begin with it; others stay as they are."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{self._prefix}/"):
            scope = {**scope, "path": scope["path"][len(self._prefix) :] or "/"}
        await self._app(scope, receive, send)


class Rooted:
    """Hands requests on as ASGI has them under a prefix: with it in the path, and as the root path."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooted = {**scope, "root_path": self._prefix, "path": self._prefix + scope["path"]}
        await self._app(rooted, receive, send)
