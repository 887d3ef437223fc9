"""Turns away foreign requests, and bodies that are too large, before anything else sees them.

A web page can make its visitor's browser send requests to a server on loopback. It cannot choose their Host and
Origin headers, so these identify such requests. `access` determines the caller.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_agent_eval.api.mcp_path import refusal_of
from mcp_agent_eval.errors import EvalError, ForeignRequest, TooLarge

_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\s\[\]:/?#@\\,]+)(?::(?P<port>[0-9]{1,5}))?")
_LONGEST_NUMBER = 18


class _Address(NamedTuple):
    host: str
    port: int | None


class Guard:
    """Passes requests from known hosts and origins to `app`, with a body of at most `largest` bytes.

    `hosts` are names or addresses without a port; None accepts every host. `origins` are complete origins, such as
    `https://app.example.com`; the server's own is always accepted.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str] | None, origins: frozenset[str], largest: int
    ) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(map(_bare, hosts))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(Headers(scope=scope))
        except EvalError as error:
            await refusal_of(scope, error)(scope, receive, send)
            return
        await self._measured(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        """Raises ForeignRequest, or TooLarge for a body whose declared length is too large."""
        host = _only_address(headers.getlist("host"))
        if self._hosts is not None and (host is None or host.host not in self._hosts):
            raise _foreign("host", "HOSTS")
        if not all(self._is_ours(origin.lower(), host) for origin in headers.getlist("origin")):
            raise _foreign("origin", "ORIGINS")
        if any(_is_above(length, self._largest) for length in headers.getlist("content-length")):
            raise _too_large(self._largest)

    def _is_ours(self, origin: str, host: _Address | None) -> bool:
        return origin in self._origins or (host is not None and _is_same(origin, host))

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _MeasuredBody(receive, send, self._largest)
        try:
            await self._app(scope, body.receive, body.send)
        except Exception:
            if not body.must_be_refused:
                raise
        if body.must_be_refused:
            await refusal_of(scope, _too_large(self._largest))(scope, receive, send)


class _MeasuredBody:
    """The channels of one request. Reading past `largest` bytes fails, and the app's answer to that is dropped in
    favour of our more specific one."""

    def __init__(self, receive: Receive, send: Send, largest: int) -> None:
        self._receive = receive
        self._send = send
        self._largest = largest
        self._read = 0
        self._has_started = False

    @property
    def must_be_refused(self) -> bool:
        """Whether too much was received and it is not too late to say so."""
        return self._read > self._largest and not self._has_started

    async def receive(self) -> Message:
        """The next part. Raises TooLarge."""
        if self._read <= self._largest:
            message = await self._receive()
            self._read += len(message.get("body", b""))
            if self._read <= self._largest:
                return message
        raise _too_large(self._largest)

    async def send(self, message: Message) -> None:
        """Pass on the app's answer."""
        if not self.must_be_refused:
            self._has_started = True
            await self._send(message)


def _only_address(values: list[str]) -> _Address | None:
    """The address in a header that must occur once. None: it is missing, repeated or malformed."""
    return _address(values[0].lower()) if len(values) == 1 else None


def _address(text: str) -> _Address | None:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    return _Address(_bare(match["host"]), int(match["port"]) if match["port"] else None)


def _bare(host: str) -> str:
    """A host normalised for comparison: in lower case, an IPv6 address without brackets and in its shortest form."""
    name = host.lower().removeprefix("[").removesuffix("]")
    try:
        return IPv6Address(name).compressed
    except AddressValueError:
        return name


def _is_same(origin: str, host: _Address) -> bool:
    """Whether an origin is that of the server named in the Host header."""
    scheme, _, rest = origin.partition("://")
    address = _address(rest)
    if address is None or scheme not in _PORTS:
        return False
    return _with_port(address, scheme) == _with_port(host, scheme)


def _with_port(address: _Address, scheme: str) -> _Address:
    return _Address(address.host, _PORTS[scheme] if address.port is None else address.port)


def _is_above(length: str, largest: int) -> bool:
    """Whether a Content-Length is above the limit. One that is not a number is ignored: the body is measured anyway."""
    if not (length.isascii() and length.isdigit()):
        return False
    digits = length.lstrip("0") or "0"
    return len(digits) > _LONGEST_NUMBER or int(digits) > largest


def _foreign(what: str, setting: str) -> ForeignRequest:
    return ForeignRequest(
        f"The {what} of this request is not one that this server answers to.",
        hint=f"If it should be, name it in AGENT_EVAL_ALLOWED_{setting} and restart the server.",
    )


def _too_large(largest: int) -> TooLarge:
    return TooLarge(f"The body of a request may have at most {largest} bytes.")
