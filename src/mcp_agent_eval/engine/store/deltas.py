"""Stores a request to a model as what it adds to the previous request of the same role.

Every request repeats the whole conversation, so storing them in full would cost the square of its length.
A delta is a JSON object of up to three fields:

    rest    the body without its messages, if it differs from the one before
    keep    how many messages are those of the request before
    tail    the messages after them

Pure. Messages are compared by `==`, which is fast because wires put the same strings into new objects. They are not
copied: callers must not change a body after passing it in, and returned bodies share their messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_agent_eval.types import Json, ModelRole

_MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class _Request:
    """A body taken apart: `rest` has None in place of the list of messages."""

    rest: Json
    messages: list[Any] | None


_NOTHING = _Request({}, None)


@dataclass(frozen=True, slots=True)
class Requests:
    """The last request of each role of one run. Adding to it returns a new value and leaves this one unchanged, so
    that nothing uncommitted is remembered."""

    _last: Mapping[str, _Request] = field(default_factory=dict[str, _Request])

    def encode(self, role: ModelRole, body: Json) -> tuple[Json, Requests]:
        """The delta of a body, and the requests including that body."""
        request = _take_apart(body)
        return _delta(request, self._last.get(role)), self._with(role, request)

    def decode(self, role: ModelRole, delta: Json) -> tuple[Json, Requests]:
        """The body that a delta stands for, and the requests including that body."""
        request = _apply(delta, self._last.get(role, _NOTHING))
        return _put_together(request), self._with(role, request)

    def _with(self, role: ModelRole, request: _Request) -> Requests:
        return Requests({**self._last, role: request})


def _take_apart(body: Json) -> _Request:
    messages = body.get(_MESSAGES)
    if not isinstance(messages, list):
        return _Request(body, None)
    return _Request({**body, _MESSAGES: None}, list(cast("list[Any]", messages)))


def _put_together(request: _Request) -> Json:
    if request.messages is None:
        return request.rest
    return {**request.rest, _MESSAGES: list(request.messages)}


def _delta(request: _Request, last: _Request | None) -> Json:
    delta: Json = {}
    if last is None or request.rest != last.rest:
        delta["rest"] = request.rest
    if request.messages is not None:
        keep = _shared(request.messages, last.messages or [] if last else [])
        delta |= {"keep": keep, "tail": request.messages[keep:]}
    return delta


def _apply(delta: Json, last: _Request) -> _Request:
    rest = delta.get("rest", last.rest)
    if "tail" not in delta:
        return _Request(rest, None)
    return _Request(rest, [*(last.messages or [])[: delta["keep"]], *delta["tail"]])


def _shared(messages: list[Any], before: list[Any]) -> int:
    """How many leading messages both have in common."""
    most = min(len(messages), len(before))
    if messages[:most] == before[:most]:
        return most
    return next(index for index in range(most) if messages[index] != before[index])
