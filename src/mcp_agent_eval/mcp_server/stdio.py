"""Standard input and output. The SDK drops lines that it cannot read, and their sender would wait forever, so we
answer them."""

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
    'Not a JSON-RPC 2.0 message: it must be one object on one line with jsonrpc "2.0" and a method; '
    "the id of a request is a whole number or a string. Batches are not supported."
)


async def forward_messages(
    lines: AsyncIterable[Item],
    messages: MemoryObjectSendStream[Item],
    reply: Callable[[SessionMessage], Awaitable[None]],
) -> None:
    """Pass on messages, and answer all other lines, until either side is closed."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with messages:
            async for line in lines:
                error = error_for(line)
                await (messages.send(line) if error is None else reply(SessionMessage(error)))


def error_for(item: Item) -> JSONRPCError | None:
    """The answer to a line that is not a message; None for one that is."""
    if isinstance(item, ValidationError):
        return _refused(item)
    message = item.message if isinstance(item, SessionMessage) else None
    if isinstance(message, JSONRPCNotification) and not message.method.startswith("notifications/"):
        # The SDK treats a request with an invalid id as a notification.
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
    """Parse a line with Python's reader, which accepts more than the SDK's."""
    try:
        return json.loads(line, parse_int=_number)
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


def _id_of(message: Any) -> Id:
    """The id of a request, if there is one. An answer's id is not used: the error could be mistaken for another
    request's."""
    record = cast(dict[str, Any], message) if isinstance(message, dict) else {}
    id = record.get("id") if "method" in record else None
    if isinstance(id, str):
        return id if id.isprintable() else None
    return id if isinstance(id, int) and not isinstance(id, bool) else None
