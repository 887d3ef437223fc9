"""Fires a webhook tool: one HTTP request, sent once, and every possible outcome.

Nothing is retried, since the tool's effect is unknown, and redirects are not followed. The request goes to a
checked address, and the server has to prove that it is the one named in the url. The answer is untrusted: it
appears in `result` and `response`, and no error quotes it.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache

import anyio
import httpx2
from anyio import to_thread

from mcp_agent_eval.engine.tools.arguments import problems
from mcp_agent_eval.engine.tools.webhooks.addresses import ForbiddenAddress, UnknownHost, checked_addresses
from mcp_agent_eval.engine.tools.webhooks.answer import Answer
from mcp_agent_eval.engine.tools.webhooks.request import Outgoing, outgoing, payload
from mcp_agent_eval.errors import EvalError, InvalidInput, NotConfigured
from mcp_agent_eval.types import Json, Tool
from mcp_agent_eval.types.webhook import CallContext, Fired, check_webhook

Transports = Callable[[], httpx2.AsyncBaseTransport]


def new_transport(tls: ssl.SSLContext | None = None) -> httpx2.AsyncHTTPTransport:
    """The transport for one call, without proxies. It is not shared: connections are kept by address, and what was
    proven for one name must not serve another at the same address."""
    return httpx2.AsyncHTTPTransport(verify=tls or _default_tls())


@cache
def _default_tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


class Webhooks:
    """Fires webhook tools, any number at once.

    `transports` creates a transport for each call. It is used without a client, which would keep cookies, follow
    redirects and log addresses.
    """

    def __init__(
        self,
        transports: Transports = new_transport,
        *,
        allow_private: bool,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._transports = transports
        self._allow_private = allow_private
        self._environment = environment

    async def fire(self, tool: Tool, arguments: Json, context: CallContext) -> Fired:
        """Really call a tool, if its arguments fit. Any problem becomes an `error`; this never raises."""
        wrong = await to_thread.run_sync(problems, tool.parameters, arguments)
        if wrong:
            return Fired(error=f"The call was not made: its arguments are wrong. {' '.join(wrong)}")
        try:
            config = check_webhook(tool.config)
            fields = payload(config, tool.parameters, arguments, context)
            request = outgoing(config, fields, self._environment)
        except (InvalidInput, NotConfigured) as exc:
            return Fired(error=f"The tool's config cannot be used. {exc.message}")
        return await self._exchange(request, config.timeout_seconds)

    async def _exchange(self, request: Outgoing, seconds: float) -> Fired:
        started = time.monotonic()
        answer = Answer()
        sent = False
        try:
            with anyio.fail_after(seconds):
                addresses = await self._addresses(request.url)
                sent = True
                await self._send(request, addresses, answer, seconds)
            error = _judged(answer.status)
        except (EvalError, TimeoutError, httpx2.RequestError, httpx2.InvalidURL) as exc:
            error = _explained(exc, seconds)
        return Fired(
            result=None if error else answer.result(request.secrets),
            error=error,
            request=request.record if sent else None,
            response=answer.record(request.secrets),
            duration_ms=round((time.monotonic() - started) * 1000),
        )

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        return await checked_addresses(_name(url), port, allow_private=self._allow_private)

    async def _send(self, request: Outgoing, addresses: list[str], answer: Answer, seconds: float) -> None:
        async with self._transports() as transport:
            response = await _first_to_answer(transport, request, addresses, seconds / len(addresses))
            try:
                await answer.read(response)
            finally:
                await response.aclose()


async def _first_to_answer(
    transport: httpx2.AsyncBaseTransport, request: Outgoing, addresses: list[str], seconds: float
) -> httpx2.Response:
    """The answer from the first address that accepts the connection; until one does, nothing is sent."""
    for address in addresses[:-1]:
        with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            return await transport.handle_async_request(_addressed(request, address, seconds))
    return await transport.handle_async_request(_addressed(request, addresses[-1], seconds))


def _addressed(request: Outgoing, address: str, seconds: float) -> httpx2.Request:
    """Send the request to the address. The name stays in the Host header and in TLS, which proves it.

    `seconds` limits the connection; the caller limits the rest.
    """
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers | {"host": request.url.netloc.decode("ascii")},
        content=request.content,
        extensions={
            "sni_hostname": _name(request.url),
            "timeout": {"connect": seconds, "read": None, "write": None, "pool": None},
        },
    )


def _name(url: httpx2.URL) -> str:
    """The host as sent over the wire. A trailing dot is only for look-ups; certificates do not have one."""
    return url.raw_host.decode("ascii").removesuffix(".")


def _judged(status: int | None) -> str | None:
    """The problem with a complete answer, if any."""
    kind = (status or 0) // 100
    return None if kind == 2 else _STATUS.get(kind, "The webhook did not report success.")


_STATUS = {
    3: "The webhook answered with a redirect, and redirects are not followed.",
    4: "The webhook refused the request.",
    5: "The webhook's server failed.",
}


def _explained(exc: Exception, seconds: float) -> str:
    """A failure in our own words, since an exception's message may contain an address or a secret."""
    match exc:
        case ForbiddenAddress() | UnknownHost():
            return exc.message
        case httpx2.ConnectTimeout() | httpx2.ConnectError() | httpx2.InvalidURL():
            return _NO_PROOF if any(map(_is_about_tls, _causes(exc))) else _UNREACHABLE
        case TimeoutError() | httpx2.TimeoutException():
            return f"The webhook gave no complete answer within {seconds:g} s."
        case _:
            return "The connection to the webhook broke before its answer was complete."


_UNREACHABLE = "The webhook's server could not be reached."
_NO_PROOF = "The webhook's server could not prove that it is the one named in the url (TLS)."


def _is_about_tls(exc: BaseException) -> bool:
    return isinstance(exc, ssl.SSLError)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
