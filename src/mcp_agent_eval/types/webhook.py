"""Webhook tools: their `config`, the call that they are used in, and their outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from mcp_agent_eval.types.base import Json, Model, Part, Text
from mcp_agent_eval.types.run import ToolUse
from mcp_agent_eval.validation import validated

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_SECRET = re.compile(r"\{\{\s*secret\.[^{}]*\}\}")
_UNSEEN = re.compile(r"[\s\\\x00-\x1f\x7f]")
_OURS = {
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def is_web_address(url: str) -> str:
    """Check for an http or https address with a host and without a user; a ValueError says what is wrong.

    A `{{secret.NAME}}` may come after the host, but not in it: where a request goes is not a secret.
    """
    plain = _SECRET.sub("secret", url)
    if _UNSEEN.search(plain):
        raise ValueError("contains a space, a backslash or a control character")
    parts = urlsplit(plain)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or password: send credentials in a header")
    if _SECRET.search(urlsplit(_SECRET.sub("{{secret.x}}", url)).netloc):
        raise ValueError("must not contain a secret in its host")
    _ = parts.port  # raises ValueError for a bad port
    return url


def _is_free(name: str) -> str:
    if name.lower() in _OURS:
        raise ValueError("is set automatically")
    return name


Address = Annotated[str, AfterValidator(is_web_address)]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), AfterValidator(_is_free)
]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e\t]*$")]


class StaticParameter(Part):
    """A field that every request carries. Any JSON value except a secret: those go in headers or the url."""

    name: Text
    value: object = None

    @field_validator("value")
    @classmethod
    def _holds_no_secret(cls, value: object) -> object:
        if isinstance(value, str) and _SECRET.search(value):
            raise ValueError("must not contain a secret: put it in a header or the url")
        return value


class ExtractionParameter(Part):
    """A field that the model fills in."""

    name: Text
    description: str = ""
    required: bool = True


class PayloadConfig(Part):
    """The fields of a request: standard metadata, then static fields, then the model's. Later ones win."""

    include_standard_metadata: bool = True
    static_parameters: list[StaticParameter] = Field(default_factory=list[StaticParameter])
    extraction_parameters: list[ExtractionParameter] = Field(default_factory=list[ExtractionParameter])


class WebhookConfig(Model):
    """One request over HTTP. `url` and the values of `headers` may contain `{{secret.NAME}}`.

    `timeout_seconds` covers everything from looking up the name to the last byte of the answer.
    """

    url: Address
    method: Method = "POST"
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    timeout_seconds: float = Field(30, ge=1, le=60)
    payload_config: PayloadConfig = Field(default_factory=PayloadConfig)


def check_webhook(config: Json) -> WebhookConfig:
    """The `config` of a webhook tool, checked before it is saved and again before it is used.

    Raises:
        InvalidInput: names every field that does not fit.
    """
    return validated(WebhookConfig, config)


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose call a tool is used in. `call_id` is the run's."""

    company_id: str
    agent_id: str
    agent_name: str
    call_id: str
    variables: Mapping[str, object] = field(default_factory=dict[str, object])
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])

    def standard(self) -> Json:
        """The contract's standard metadata. Text runs have no phone numbers, so those are empty."""
        return {
            "company_id": self.company_id,
            "agent_id": self.agent_id,
            "agent_name": self.agent_name,
            "call_id": self.call_id,
            "call_direction": "inbound",
            "caller_number": "",
            "callee_number": "",
            "call_metadata": dict(self.metadata),
            "call_variables": dict(self.variables),
        }


@dataclass(frozen=True, slots=True)
class Fired:
    """The outcome of a call: a result or an error, with what is kept of the request and the answer.

    `request` is None when no connection was tried. `error` is in our own words; `result` and `response` are untrusted.
    """

    result: object = None
    error: str | None = None
    request: Json | None = None
    response: Json | None = None
    duration_ms: int = 0

    def as_use(self, call_id: str, name: str) -> ToolUse:
        """The outcome as it is stored in a transcript."""
        return ToolUse(
            id=call_id,
            name=name,
            result=self.result,
            error=self.error,
            mocked=False,
            request=self.request,
            response=self.response,
            duration_ms=self.duration_ms,
        )
