"""One process and one port: the contract over REST and MCP on one embedded engine, until a signal ends it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import anyio
import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from mcp_agent_eval.api.access import Access
from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.api.guard import Guard
from mcp_agent_eval.api.limits import RateLimit
from mcp_agent_eval.api.mcp_path import Fork, McpApp
from mcp_agent_eval.api.prefix import Prefix, Rooted
from mcp_agent_eval.backend.connect import Connection, connect
from mcp_agent_eval.backend.keyring import Keyring, open_keyring
from mcp_agent_eval.background import stop_signals
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import PREFIX, Settings

if TYPE_CHECKING:
    from mcp_agent_eval.api.oauth import OAuthIssuer

LARGEST_BODY = 4 * 1024 * 1024
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MCP_HEADERS = ("Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id", "Last-Event-ID")
_LAST_ANSWERS = 3
"""Seconds for requests to finish when the server stops. Their runs go on elsewhere."""

_ANOTHER_HOST = "Choose an address of this machine with --host, such as 127.0.0.1."
_ANOTHER_PORT = "Choose another with --port, or 0 for any that is free."

Announce = Callable[[str, bool], None]
"""Called with the address, and whether anyone may call without a key."""


OpenMcp = Callable[[Connection, int], AbstractAsyncContextManager[McpApp]]
"""Creates the MCP server of an open connection, with the largest body that a request may have."""


async def serve(
    settings: Settings, host: str, port: int, announce: Announce, open_mcp: OpenMcp, prefix: str = ""
) -> None:
    """Serve until SIGINT or SIGTERM; unfinished runs then go back to the queue. `prefix` is a prefix that a proxy
    leaves in paths, such as `/eval`.

    Raises:
        NotConfigured: the address cannot be used, or others could reach it and no key is configured.
    """
    async with open_keyring(settings) as keyring, _issuer(settings) as issuer:
        is_open = settings.token is None and issuer is None and not await keyring.any_valid()
        if is_open and not is_loopback(host):
            raise _unprotected(host)
        with _listening(host, port) as listener:
            async with connect(settings) as connection, open_mcp(connection, LARGEST_BODY) as mcp:
                surfaces = Fork(Rooted(build_api(connection.backend), prefix), mcp)
                access = _access(surfaces, None if is_open else keyring, issuer, settings)
                announce(_address(listener), is_open)
                await _answer(Prefix(_guarded(access, settings, host), prefix), listener, mcp.stop)


def _issuer(settings: Settings) -> AbstractAsyncContextManager[OAuthIssuer | None]:
    if settings.oauth_issuer is None:
        return nullcontext()
    # It imports cryptography, which a server with only its own keys does not need.
    from mcp_agent_eval.api.oauth import open_issuer

    return open_issuer(settings)


def _access(app: ASGIApp, keyring: Keyring | None, issuer: OAuthIssuer | None, settings: Settings) -> Access:
    """The surfaces behind their keys and rate limit; without any source of keys they are open."""
    token = settings.token.get_secret_value() if settings.token else None
    return Access(
        issuer.beside(app) if issuer else app,
        keyring=keyring,
        token=token,
        limit=RateLimit(settings.rate_limit),
        issuer=issuer,
    )


def _guarded(app: ASGIApp, settings: Settings, host: str) -> ASGIApp:
    """The app behind its guard."""
    origins = frozenset(settings.allowed_origins)
    inner = _for_pages(app, origins) if origins else app
    return Guard(inner, hosts=_hosts(settings, host), origins=origins, largest=LARGEST_BODY)


def _for_pages(app: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """The app with CORS, so that browsers let pages of the allowed origins call it."""
    return CORSMiddleware(
        app,
        allow_origins=sorted(origins),
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Prefer", *_MCP_HEADERS],
        expose_headers=[
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
            "Retry-After",
            "Preference-Applied",
            "WWW-Authenticate",
            "Mcp-Session-Id",
        ],
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hosts(settings: Settings, host: str) -> frozenset[str] | None:
    """The names under which the server may be called; None if it listens on all addresses, where they are unknown
    but a key is required."""
    named = frozenset(name.lower() for name in settings.allowed_hosts)
    if is_loopback(host):
        return _LOOPBACK_NAMES | named
    if host in ("0.0.0.0", "::"):
        return named | _LOOPBACK_NAMES if named else None
    return named | {f"[{host}]" if ":" in host else host.lower()}


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    """A socket that is already bound, so that a port in use is reported before anything else is done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        raise NotConfigured(
            f"Cannot listen on {host} port {port}: {exc.strerror or exc}.",
            hint=_ANOTHER_PORT if exc.errno in (errno.EADDRINUSE, errno.EACCES) else _ANOTHER_HOST,
        ) from None
    with listener:
        # Connections inherit it. asyncio only sets it if a socket names TCP explicitly, which these do not; without
        # it, an answer in two parts waits 40 ms in between.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


async def _answer(app: ASGIApp, listener: socket.socket, stop: Callable[[], None]) -> None:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, server, stop)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again when it stops, before the engine could be closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _stop_on_signal(server: uvicorn.Server, stop: Callable[[], None]) -> None:
    with stop_signals() as signals:
        async for _ in signals:
            server.should_exit = True
            stop()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _unprotected(host: str) -> NotConfigured:
    return NotConfigured(
        f"{host} is reachable by others and no key is configured.",
        hint=f"Create one with `mcp-agent-eval keys create NAME`, or set {PREFIX}TOKEN, and restart.",
    )
