"""`Endpoint`: what it takes, what it refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.endpoint import Endpoint
from mcp_agent_eval.validation import validated


def endpoint(**fields: Any) -> Endpoint:
    return validated(Endpoint, {"protocol": "openai", "url": "https://agent.example/v1", **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        endpoint(**fields)
    return caught.value.message


def test_an_endpoint_needs_no_more_than_protocol_and_url() -> None:
    assert endpoint().model_dump() == {
        "protocol": "openai",
        "url": "https://agent.example/v1",
        "model": None,
        "headers": {},
        "stream": False,
        "timeout_seconds": 60,
        "send_history": True,
    }


def test_an_endpoint_survives_json() -> None:
    full: Json = {
        "protocol": "openai",
        "url": "http://localhost:8080/v1/chat/completions?version=2",
        "model": "support-agent",
        "headers": {"Authorization": "Bearer {{secret.TOKEN}}", "X-Tenant": "{{ secret.tenant_2 }}/a"},
        "stream": True,
        "timeout_seconds": 1.5,
        "send_history": False,
    }
    assert Endpoint.model_validate_json(endpoint(**full).model_dump_json()).model_dump() == full


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Agent.Example/v1", "agent.example"),
        ("http://localhost:8080", "localhost:8080"),
        ("http://[::1]:9/x?key=k", "[::1]:9"),
    ],
)
def test_an_endpoint_is_named_by_host_and_port(url: str, host: str) -> None:
    assert endpoint(url=url).host == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agent.example/v1",
        "localhost:8080",
        "ftp://agent.example",
        "http://",
        "http:///v1",
        "http://agent.example:port/",
        "http://agent.example:99999/",
        "http://agent.example:0/",
        "http://[::1/",
        "http://agent.example/a b",
        "http://agent.example/\n",
    ],
)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    assert "url: must be an address that begins with http:// or https://" in refusal(url=url)


@pytest.mark.parametrize("url", ["https://user:hunter2@agent.example/", "https://user@agent.example/"])
def test_a_password_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    message = refusal(url=url)
    assert "url: must not contain a user name or password" in message
    assert "hunter2" not in message


def test_a_secret_in_the_address_is_sent_to_the_headers() -> None:
    assert "{{secret.NAME}} is not filled in here" in refusal(url="https://agent.example/{{secret.KEY}}")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("", "x", "is not a valid header name"),
        ("X Y", "x", "is not a valid header name"),
        ("X:", "x", "is not a valid header name"),
        ("Content-Length", "1", "is set automatically"),
        ("X-Conversation-ID", "1", "is set automatically"),
        ("X-Note", "a\r\nX-Other: b", "may contain only printable ASCII"),
        ("X-Note", "ä", "may contain only printable ASCII"),
        ("X-Note", "{{secrets.KEY}}", "is not a {{secret.NAME}}"),
        ("X-Note", "{{secret.MY KEY}}", "is not a {{secret.NAME}}"),
        ("X-Note", "{{Name}}", "is not a {{secret.NAME}}"),
    ],
)
def test_a_header_that_could_not_be_sent_as_written_is_refused(name: str, value: str, problem: str) -> None:
    message = refusal(headers={name: value})
    assert f"headers: the header {name!r}" in message
    assert problem in message
    assert value == "x" or value not in message


def test_a_header_is_given_once_whatever_its_case() -> None:
    assert "given twice" in refusal(headers={"Authorization": "a", "authorization": "b"})


@pytest.mark.parametrize("seconds", [0, 0.99, 301, -1, "60", True, None])
def test_a_timeout_is_a_number_of_seconds_up_to_five_minutes(seconds: Any) -> None:
    assert "timeout_seconds" in refusal(timeout_seconds=seconds)


@pytest.mark.parametrize("fields", [{"stream": True}, {"model": "m"}])
def test_a_webhook_has_neither_model_nor_stream(fields: Json) -> None:
    assert "belong to the protocol 'openai'" in refusal(protocol="webhook", **fields)


def test_an_unknown_field_or_protocol_is_named() -> None:
    assert "There is no field 'uri'. The fields are: protocol, url" in refusal(uri="x")
    assert "protocol" in refusal(protocol="grpc")
