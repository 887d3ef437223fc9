"""Builds what a webhook tool sends, as the contract specifies: once with its secrets, and once for the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from mcp_agent_eval import __version__
from mcp_agent_eval.engine.secrets import fill_address, fill_secrets, shown, shown_address, values_in
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.webhook import CallContext, WebhookConfig

_IN_QUERY = ("GET", "DELETE")
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request, ready to be sent. `record` is the part that may be stored; `secrets` says what to hide."""

    method: str
    url: httpx2.URL
    headers: dict[str, str]
    content: bytes | None
    record: Json
    secrets: dict[str, str]


def payload(config: WebhookConfig, parameters: Json, arguments: Json, context: CallContext) -> Json:
    """The fields of a request: standard metadata, static, extracted; later ones win.

    Arguments that a model adds beyond the declared parameters never replace another field. If the tool has
    extraction parameters, they are not sent at all.
    """
    settings = config.payload_config
    extracted = {one.name for one in settings.extraction_parameters}
    declared = extracted | set(parameters.get("properties", {}))
    extra = {} if extracted else {key: value for key, value in arguments.items() if key not in declared}
    standard = context.standard() if settings.include_standard_metadata else {}
    static = {one.name: one.value for one in settings.static_parameters}
    return extra | standard | static | {key: arguments[key] for key in arguments if key in declared}


def outgoing(config: WebhookConfig, fields: Json, environment: Mapping[str, str]) -> Outgoing:
    """The request that carries these fields.

    Raises:
        NotConfigured: a secret is not set.
        InvalidInput: the address or a header cannot be sent with its secrets filled in.
    """
    in_query = config.method in _IN_QUERY
    url = _url(fill_address(config.url, environment))
    query = {key: _as_text(value) for key, value in fields.items()}
    return Outgoing(
        method=config.method,
        url=url.copy_merge_params(query) if in_query and query else url,
        headers=_headers(config.headers, environment, with_body=not in_query),
        content=None if in_query else json.dumps(fields).encode(),
        record=_record(config, {"query": query} if in_query else {"body": fields}),
        secrets=values_in([config.url, *config.headers.values()], environment),
    )


def _record(config: WebhookConfig, sent: Json) -> Json:
    return {
        "method": config.method,
        "url": shown_address(config.url),
        "headers": shown(config.headers),
    } | sent


def _url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if not url.host or url.userinfo:
        raise InvalidInput("url: is not an address that a request can be sent to.")
    return url.copy_with(fragment=None)


def _headers(given: Mapping[str, str], environment: Mapping[str, str], *, with_body: bool) -> dict[str, str]:
    """The record's headers over our own: one connection per call, and no compression."""
    ours = {"accept": _JSON, "user-agent": f"mcp-agent-eval/{__version__}"}
    ours |= {"content-type": _JSON} if with_body else {}
    theirs = {name.lower(): _header(name, value, environment) for name, value in given.items()}
    return ours | theirs | {"accept-encoding": "identity", "connection": "close"}


def _header(name: str, value: str, environment: Mapping[str, str]) -> str:
    filled = fill_secrets(value, environment).strip()
    if not (filled.isascii() and filled.replace("\t", " ").isprintable()):
        raise InvalidInput(f"headers.{name}: its secret contains characters that a header cannot contain.")
    return filled


def _as_text(value: object) -> str:
    """A field of a query: a string unchanged, empty for null, and JSON for everything else."""
    text = value if isinstance(value, str) else "" if value is None else _compact(value)
    return text.encode(errors="replace").decode()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
