"""An endpoint: the address and protocol of an agent that runs elsewhere."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from mcp_agent_eval.types.base import Part

_SECRET = re.compile(r"\{\{\s*secret\.[A-Za-z_][A-Za-z0-9_]*\s*\}\}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"connection", "content-length", "content-type", "transfer-encoding", "x-conversation-id"}


def _http_address(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password: put them in headers")
    if "{{" in url:
        raise ValueError("{{secret.NAME}} is not filled in here: put it in headers")
    return url


def _split(url: str) -> SplitResult:
    """The parts of an address; None if it contains whitespace, a control character or an impossible port."""
    nothing = SplitResult("", "", "", "", "")
    try:
        parts = urlsplit(url)
        is_sound = parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return nothing
    return parts if is_sound else nothing


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if problem := _problem(name, value):
            raise ValueError(f"the header {name!r} {problem}")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice: header names are not case-sensitive")
    return headers


def _problem(name: str, value: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "is not a valid header name"
    if name.lower() in _OURS:
        return "is set automatically: leave it out"
    if not (value.isascii() and value.isprintable()):
        return "may contain only printable ASCII"
    if "{{" in _SECRET.sub("", value):
        return "contains a {{...}} that is not a {{secret.NAME}}"
    return None


class Endpoint(Part):
    """An agent that is reached over HTTP. It has its own prompt and tools: the agent's record only gives it the
    greeting, the variables and the tools that it leaves to the caller."""

    protocol: Literal["openai", "webhook"]
    """`openai`: chat completions. `webhook`: a JSON request and answer of our own, one per turn."""
    url: Annotated[str, AfterValidator(_http_address)]
    """Where requests go. With `openai`, the base URL before `/chat/completions`, or the whole address."""
    model: str | None = None
    """The `model` field of an `openai` request. None: the field is left out."""
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict[str, str])
    """Headers to add. `{{secret.NAME}}` in a value is read from the environment (`AGENT_EVAL_SECRET_NAME`) when
    used, and never stored."""
    stream: bool = False
    """Whether an `openai` endpoint is asked to stream. This does not change its answers."""
    timeout_seconds: float = Field(60, ge=1, le=300)
    """How long one answer may take, including repeated requests and the waits between them."""
    send_history: bool = True
    """Whether each request contains the whole conversation. If not, it contains only what is new, for an agent that
    remembers by conversation id."""

    @model_validator(mode="after")
    def _fields_go_with_the_protocol(self) -> Endpoint:
        if self.protocol == "webhook" and (self.stream or self.model is not None):
            raise ValueError("model and stream belong to the protocol 'openai', but this is a 'webhook'")
        return self

    @property
    def host(self) -> str:
        """Host and port, the name shown to people."""
        return urlsplit(self.url).netloc.lower()
