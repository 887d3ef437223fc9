"""An app of the tests on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from tests.support import free_port


@asynccontextmanager
async def running(app: ASGIApp, port: int | None = None) -> AsyncIterator[str]:
    """The address of the app, on a port of this machine; it stops with the block."""
    chosen = port or free_port()
    config = uvicorn.Config(app, port=chosen, log_level="error", lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)

    async def serve() -> None:
        # A test that fails must not leave the socket open, or the next one is blamed for it.
        with anyio.CancelScope(shield=True):
            await server.serve()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        try:
            with anyio.fail_after(10):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            yield f"http://127.0.0.1:{chosen}"
        finally:
            server.should_exit = True
