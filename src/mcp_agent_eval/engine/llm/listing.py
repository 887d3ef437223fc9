"""Lists a provider's models: free of charge, so the cheapest check that it answers and accepts a key."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2

from mcp_agent_eval.engine.llm.event_stream import read_body
from mcp_agent_eval.engine.llm.failures import refusal
from mcp_agent_eval.engine.llm.wire import Wire, as_list, as_object, as_text
from mcp_agent_eval.errors import ModelError

_SECONDS = 10.0
_ENDPOINTS = ("/chat/completions", "/messages")
_MOST = {"anthropic": {"limit": "1000"}}
"""Anthropic lists twenty at a time by default."""


async def list_models(wire: Wire, client: httpx2.AsyncClient, *, base_url: str, key: str | None) -> list[str]:
    """The names of the models that a provider offers for this key.

    Raises:
        ModelError: it refused, did not answer, or sent no list, which not every server has.
    """
    try:
        with anyio.fail_after(_SECONDS):
            response = await client.get(
                _address(wire, base_url), headers=wire.headers(key), params=_MOST.get(wire.provider)
            )
    except (TimeoutError, httpx2.TimeoutException):
        raise ModelError(f"{wire.provider} gave no answer within {_SECONDS:g} s", kind="timeout") from None
    except httpx2.RequestError as exc:
        reason = f"{wire.provider} could not be reached ({type(exc).__name__})"
        raise ModelError(reason, kind="unreachable") from None
    return _names(wire, response, key)


def _address(wire: Wire, base_url: str) -> str:
    """The URL of the list, next to the endpoint for answers."""
    url = wire.url(base_url)
    for endpoint in _ENDPOINTS:
        url = url.removesuffix(endpoint)
    return f"{url}/models"


def _names(wire: Wire, response: httpx2.Response, key: str | None) -> list[str]:
    body: Any = read_body(response.content, response.headers.get("content-type", ""))
    if not response.is_success:
        failure = refusal(response.status_code, body, response.headers)
        reason = failure.reason.replace(key, "***") if key else failure.reason
        raise ModelError(f"{wire.provider} {reason}", kind=failure.kind, status_code=failure.status)
    names = [as_text(as_object(entry).get("id")) for entry in as_list(as_object(body).get("data"))]
    if not any(names):
        raise ModelError(f"{wire.provider} answered without a list of models", kind="malformed")
    return [name for name in names if name]
