"""Standard input and output, where the SDK drops what it cannot read: whoever sent that would wait for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCNotification
from pydantic import ValidationError

Item = SessionMessage | Exception
Id = int | str | None

_LONGEST_NUMBER = 18
_NOT_A_MESSAGE = (
    'Not a message of JSON-RPC 2.0: it is one object on a line with jsonrpc "2.0" and a method; the id of a request is '
    "a whole number or a text. Batches are not taken."
)


async def forward_messages(
    lines: AsyncIterable[Item],
    messages: MemoryObjectSendStream[Item],
    reply: Callable[[SessionMessage], Awaitable[None]],
) -> None:
    """Hand on what is a message, and answer each line that is none, until either side is closed."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with messages:
            async for line in lines:
                error = error_for(line)
                await (messages.send(line) if error is None else reply(SessionMessage(error)))


def error_for(item: Item) -> JSONRPCError | None:
    """What a line is answered with that is not a message; None for one that is."""
    if isinstance(item, ValidationError):
        return _refused(item)
    message = item.message if isinstance(item, SessionMessage) else None
    if isinstance(message, JSONRPCNotification) and not message.method.startswith("notifications/"):
        # The SDK takes a request whose id cannot be one for a notification.
        return _error(None, INVALID_REQUEST, _NOT_A_MESSAGE)
    return None


def _refused(error: ValidationError) -> JSONRPCError | None:
    problems = error.errors(include_url=False)
    if problems[0]["type"] != "json_invalid":
        whole = next((problem["input"] for problem in problems if problem["type"] == "missing"), None)
        return _error(_id_of(whole), INVALID_REQUEST, _NOT_A_MESSAGE)
    line = str(problems[0]["input"])
    if not line.strip():
        return None
    return _error(_id_of(_read(line)), PARSE_ERROR, f"{problems[0]['msg']}.")


def _error(id: Id, code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=code, message=message))


def _read(line: str) -> Any:
    """What Python's own reader makes of a line: it lets through more than the SDK's."""
    try:
        return json.loads(line, parse_int=_number)
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


def _id_of(message: Any) -> Id:
    """The id of a request, as far as there is one: an error with the id of an answer could pass for another's."""
    record = cast(dict[str, Any], message) if isinstance(message, dict) else {}
    id = record.get("id") if "method" in record else None
    if isinstance(id, str):
        return id if id.isprintable() else None
    return id if isinstance(id, int) and not isinstance(id, bool) else None
