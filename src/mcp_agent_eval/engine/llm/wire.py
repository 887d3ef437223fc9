"""The interface of a wire, and what the two wires share.

A wire turns a `ModelRequest` into a provider's body and a provider's body into an answer. It is pure: it opens no
connection, keeps no state and does not retry. `HttpModel` sends the bodies and decides what a failure means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, Usage
from mcp_agent_eval.types import Json

OPENING = "(The conversation begins.)"
"""The text of a user message for servers that require one before the assistant may speak."""


class MalformedError(ValueError):
    """A body without an answer. The text says what is missing and quotes nothing from the body."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The content of a body: `model` and `stop` in the provider's own words, empty if it gave none."""

    message: Message
    usage: Usage
    model: str
    stop: str


class Wire(Protocol):
    """One provider's protocol. `key_variable` is the environment variable that holds its key."""

    provider: str
    default_base_url: str
    key_variable: str

    def url(self, base_url: str) -> str:
        """Where requests go."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers of a request; without a key none of them authenticates."""
        ...

    def encode(self, model: str, request: ModelRequest, dropped: frozenset[str]) -> Json:
        """The body of a request. `dropped` contains names of `QUIRKS` that this model is known to need."""
        ...

    def decode(self, body: Json, *, structured: bool = False) -> Decoded:
        """The answer in a body; `structured` if its request had a schema.

        Raises:
            MalformedError: there is no answer in it.
        """
        ...


class Quirk(NamedTuple):
    """Something that servers refuse: the name under which it is recorded, and how a refusal reads."""

    name: str
    refusal: re.Pattern[str]


def _quirk(name: str, refusal: str) -> Quirk:
    return Quirk(name, re.compile(refusal, re.IGNORECASE))


QUIRKS = (
    _quirk("temperature", r"\btemperature\b"),
    _quirk("max_tokens", r"\bmax_tokens\b"),
    _quirk("max_completion_tokens", r"\bmax_completion_tokens\b"),
    _quirk("schema", r"response_format|json_schema|structured[ _]output|input_schema"),
    _quirk("tool_choice", r"\btool[_ ]choice\b"),
    _quirk(
        "tools",
        r"support (for )?(tool|function)s?\b"
        r"|\b(tools?|tool use|tool calling|functions?|function calling)\W{1,2}((is|are) )?(not|un) ?"
        r"(supported|enabled|available|allowed)",
    ),
    _quirk("system_role", r"system role|\brole\b.{0,30}\bsystem\b|'system' is not|only user and assistant"),
    _quirk("developer_role", r"\bdeveloper\b|\broles?\b"),
    _quirk(
        "bare_opening",
        r"first message|at least one message|(start|begin) with an? user|no user (query|message)|\balternat"
        r"|roles must|empty (array|messages|input messages)|too short|contents (is|are) |expected last role",
    ),
    _quirk("separate_messages", r"\balternat|consecutive"),
    _quirk("system_role", r"\balternat"),
    _quirk("native", r"reasoning|thinking|signature|thought|extra (input|field)|unsupported|unrecognized"),
)
"""What can be learned about a model from its 400 and 422 answers, the likelier cause first.

    temperature, max_tokens, tools, tool_choice     left out
    max_tokens on chat completions                  first sent as max_completion_tokens, then left out as such
    schema                                          left out: the answer is free text
    system_role, developer_role                     the system prompt goes out as developer, then as user
    bare_opening                                    a first user message goes before an assistant's
    separate_messages                               neighbours of one role are sent as one message
    native                                          assistant messages lose what only their provider knows
"""


def quirks_named_in(refusal: str) -> Iterator[str]:
    """The names of `QUIRKS` that a provider's message may be about."""
    return (quirk.name for quirk in QUIRKS if quirk.refusal.search(refusal))


def as_object(value: Any) -> Json:
    """The value if it is a JSON object, or else an empty one."""
    return cast(Json, value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a JSON array, or else an empty one."""
    return cast(list[Any], value) if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The value if it is a string, or else an empty one."""
    return value if isinstance(value, str) else ""


def as_count(value: Any) -> int:
    """A number of tokens, 0 for anything that is not one."""
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1e12 else 0


def call_id(given: Any, index: int) -> str:
    """The id of a tool call, made from its place in the answer if the provider left it out."""
    return as_text(given) or f"call_{index}"


def tool_arguments(written: Any) -> tuple[Json, str | None]:
    """The arguments of a tool call as `(args, raw)`: `raw` is what was written if that is not an object."""
    if isinstance(written, dict):
        return cast(Json, written), None
    if written is None or written == "":
        return {}, None
    text = written if isinstance(written, str) else json.dumps(written)
    try:
        parsed: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}, text
    return (cast(Json, parsed), None) if isinstance(parsed, dict) else ({}, text)


_SPOKEN = ("error", "message", "detail", "loc", "msg", "metadata", "raw")
_LABELS = ("type", "code", "param", "status")


def complaint(body: Any) -> str:
    """What a provider says went wrong, in one short line, without any conversation text that it quotes."""
    return " ".join(" ".join(_words(body, _SPOKEN)).split())[:300]


def complaint_with_labels(body: Any) -> str:
    """Everything that a provider says went wrong, with its codes: for matching, not for reading."""
    return " ".join(_words(body, _SPOKEN + _LABELS))


def _words(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, str):
        yield from _words_of_text(value, keys)
    elif isinstance(value, list):
        for each in as_list(value):
            yield from _words(each, keys)
    elif isinstance(value, dict):
        for key in keys:
            yield from _words(as_object(value).get(key), keys)
    elif value is not None:
        yield str(value)


def _words_of_text(text: str, keys: tuple[str, ...]) -> Iterator[str]:
    """The words of an error text, unwrapped if a gateway passed on JSON in a string; a web page has none."""
    if not text.lstrip().startswith(("{", "[{", "<")):
        yield text
    elif inner := _parsed(text):
        yield from _words(inner, keys)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def error_in(body: Json) -> Any:
    """The error in the body of a 200, or None."""
    choices = as_list(body.get("choices"))
    return body.get("error") or (as_object(choices[0]).get("error") if choices else None)


def error_status(error: Any) -> int | None:
    """The HTTP status that matches an error."""
    for label in ("code", "status", "type"):
        given = str(as_object(error).get(label))
        status = int(given) if len(given) == 3 and given.isdecimal() else _STATUS_OF.get(given, 0)
        if 400 <= status < 600:
            return status
    return None
