"""Where an agent lives that runs elsewhere, and how it is spoken to."""

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
        raise ValueError("must hold no user name and no password: those belong into headers")
    if "{{" in url:
        raise ValueError("nothing is filled in here: {{secret.NAME}} belongs into headers")
    return url


def _split(url: str) -> SplitResult:
    """The parts of an address; none where it has a blank, a control character or an impossible port."""
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
        raise ValueError("a header is given twice: upper and lower case are the same there")
    return headers


def _problem(name: str, value: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "has a name that no header can have"
    if name.lower() in _OURS:
        return "is set by itself: leave it out"
    if not (value.isascii() and value.isprintable()):
        return "may hold printable ASCII only"
    if "{{" in _SECRET.sub("", value):
        return "holds a {{...}} that is no {{secret.NAME}}"
    return None


class Endpoint(Part):
    """An agent that is reached over HTTP. It has a prompt and tools of its own: of the agent's record only
    the greeting, the variables and the tools that are left to the caller matter to it."""

    protocol: Literal["openai", "webhook"]
    """`openai`: chat completions. `webhook`: a JSON request and answer of our own, one per turn."""
    url: Annotated[str, AfterValidator(_http_address)]
    """Where requests go. With `openai`, the base before `/chat/completions`, or the whole address."""
    model: str | None = None
    """The `model` of an `openai` request. None: it is left out."""
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict[str, str])
    """Headers to add. `{{secret.NAME}}` in a value is read from the environment (`AGENT_EVAL_SECRET_NAME`)
    when it is used, and never kept."""
    stream: bool = False
    """Whether an `openai` endpoint is asked to stream. What it then says is the same."""
    timeout_seconds: float = Field(60, ge=1, le=300)
    """How long one answer may take, repeated requests and the waits between them included."""
    send_history: bool = True
    """Whether each request holds the whole conversation. If not, only what is new: for an agent that
    remembers by the conversation id."""

    @model_validator(mode="after")
    def _fields_go_with_the_protocol(self) -> Endpoint:
        if self.protocol == "webhook" and (self.stream or self.model is not None):
            raise ValueError("model and stream belong to the protocol 'openai', and this is a 'webhook'")
        return self

    @property
    def host(self) -> str:
        """Host and port, by which it is named where people read."""
        return urlsplit(self.url).netloc.lower()
