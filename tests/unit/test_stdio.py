"""What cannot be read on standard input is answered, with the id of the request where it can be known."""

from __future__ import annotations

import json

import pytest
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError

from mcp_agent_eval.mcp_server.stdio import Id, Item, error_for

DEEP = '{"a":' * 2_000 + "1" + "}" * 2_000


def item(line: str) -> Item:
    """A line as the SDK's transport hands it on."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValidationError as exc:
        return exc


@pytest.mark.parametrize(
    ("line", "id", "code"),
    [
        ("not json", None, PARSE_ERROR),
        (r'{"params": {"id": "\ud800"}, "jsonrpc": "2.0", "method": "x", "id": 12}', 12, PARSE_ERROR),
        (f'{{"jsonrpc": "2.0", "id": 1, "method": "x", "params": {DEEP}}}', None, PARSE_ERROR),
        (
            f'{{"jsonrpc": "2.0", "id": "a", "method": "x", "params": {{"n": 1{"0" * 5_000}}}}}',
            "a",
            PARSE_ERROR,
        ),
        ('{"id": 3, "method": "ping"}', 3, INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 4, "method": 5}', 4, INVALID_REQUEST),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', None, INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": null, "method": "ping"}', None, INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', None, INVALID_REQUEST),
        ('{"jsonrpc": "2.0", "id": 7, "result": 5}', None, INVALID_REQUEST),
        (r'{"jsonrpc": "2.0", "id": "\ud800", "method": "ping"}', None, PARSE_ERROR),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_message_is_answered(line: str, id: Id, code: int) -> None:
    error = error_for(item(line))
    assert error is not None
    assert (error.id, error.error.code) == (id, code)
    json.loads(error.model_dump_json())


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc": "2.0", "id": 1, "method": "ping"}',
        '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        '{"jsonrpc": "2.0", "id": 1, "result": {}}',
        "",
        " ",
    ],
)
def test_messages_and_blank_lines_are_not(line: str) -> None:
    assert error_for(item(line)) is None
