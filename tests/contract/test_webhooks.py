"""Webhook tools against real servers: what arrives there, what is made of the answer, and what never shows."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mcp_agent_eval.engine.tools.webhooks.fire import Webhooks, new_transport
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json, Tool, ToolUse
from mcp_agent_eval.types.webhook import CallContext, Fired, check_webhook

SECRET = "s3cr3t/v+lue"
ENVIRONMENT = {"AGENT_EVAL_SECRET_TOKEN": SECRET, "AGENT_EVAL_SECRET_BROKEN": "two\nlines"}

CONTEXT = CallContext(
    company_id="company",
    agent_id="agent",
    agent_name="Front desk",
    call_id="run",
    variables={"Name": "Dana", "Visits": 3},
    metadata={"ticket": "T-1"},
)
STANDARD = {
    "company_id": "company",
    "agent_id": "agent",
    "agent_name": "Front desk",
    "call_id": "run",
    "call_direction": "inbound",
    "caller_number": "",
    "callee_number": "",
    "call_metadata": {"ticket": "T-1"},
    "call_variables": {"Name": "Dana", "Visits": 3},
}


# --- A server that takes what comes, byte by byte, and answers as it is told


@dataclass
class Arrived:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


@dataclass
class Server:
    """Where it listens, and what has arrived."""

    port: int
    arrived: list[Arrived] = field(default_factory=list)

    def url(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


Answering = Callable[[Any], Awaitable[None]]


def plain(body: str | bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


@asynccontextmanager
async def serving(answer: bytes | Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server for as long as the block lasts. It closes each connection after its answer."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = Server(listener.extra(anyio.abc.SocketAttribute.local_port))

    async def handle(raw: SocketStream) -> None:
        async with raw:
            try:
                await converse(raw)
            except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                return  # the client went away: some tests are about that

    async def converse(raw: SocketStream) -> None:
        stream: Any = raw
        if tls:
            stream = await anyio.streams.tls.TLSStream.wrap(
                raw, server_side=True, ssl_context=tls, standard_compatible=False
            )
        server.arrived.append(await read_request(stream))
        if isinstance(answer, bytes):
            await stream.send(answer)
        else:
            await answer(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield server
        tasks.cancel_scope.cancel()


async def read_request(stream: Any) -> Arrived:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive()
    method, target, _ = first.split(" ")
    return Arrived(method, target, headers, body)


UNREACHABLE = "The webhook's server could not be reached."


# --- Tools and how they are fired


def tool(url: str, parameters: Json | None = None, **config: Any) -> Tool:
    given = {"parameters": parameters} if parameters else {}
    return Tool.model_validate(
        {"name": "bookSlot", "type": "webhook", "config": {"url": url} | config} | given
    )


def webhooks(**changed: Any) -> Webhooks:
    return Webhooks(**({"allow_private": True, "environment": ENVIRONMENT} | changed))


async def fire(url: str, arguments: Json | None = None, **config: Any) -> Fired:
    return await webhooks().fire(tool(url, **config), arguments or {}, CONTEXT)


async def fired_at(answer: bytes | Answering, **config: Any) -> Fired:
    async with serving(answer) as server:
        return await fire(server.url(), **config)


PAYLOAD = {
    "static_parameters": [
        {"name": "source", "value": "eval"},
        {"name": "agent_name", "value": "static wins over metadata"},
        {"name": "day", "value": "extracted wins over static"},
        {"name": "limit", "value": 5},
        {"name": "strict", "value": True},
        {"name": "nothing", "value": None},
    ],
    "extraction_parameters": [{"name": "day", "description": "The day"}, {"name": "note", "required": False}],
}
SENT = STANDARD | {
    "source": "eval",
    "agent_name": "static wins over metadata",
    "day": "2026-03-01",
    "limit": 5,
    "strict": True,
    "nothing": None,
}
AS_QUERY = SENT | {
    "limit": "5",
    "strict": "true",
    "nothing": "",
    "call_metadata": '{"ticket":"T-1"}',
    "call_variables": '{"Name":"Dana","Visits":3}',
}


# --- What arrives


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_payload_of_the_contract_arrives_as_json(method: str) -> None:
    async with serving(plain('{"booked": true}')) as server:
        fired = await fire(server.url(), {"day": "2026-03-01"}, method=method, payload_config=PAYLOAD)
    (request,) = server.arrived
    assert (request.method, request.target) == (method, "/hook")
    assert json.loads(request.body) == SENT
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert fired.error is None
    assert fired.result == {"booked": True}
    assert fired.request == {"method": method, "url": server.url(), "headers": {}, "body": SENT}
    assert fired.response == {"status": 200, "body_preview": '{"booked": true}'}
    assert fired.duration_ms >= 0


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_the_payload_of_the_contract_arrives_as_a_query(method: str) -> None:
    async with serving(plain("[]")) as server:
        url = server.url("/hook?page=2&day=overwritten")
        fired = await fire(url, {"day": "2026-03-01"}, method=method, payload_config=PAYLOAD)
    (request,) = server.arrived
    assert request.method == method
    assert request.query == AS_QUERY | {"page": "2"}
    assert request.body == b""
    assert "content-type" not in request.headers
    assert fired.result == []
    assert fired.request == {"method": method, "url": url, "headers": {}, "query": AS_QUERY}


async def test_standard_metadata_may_be_left_out() -> None:
    async with serving(plain("{}")) as server:
        await fire(server.url(), payload_config={"include_standard_metadata": False})
    assert json.loads(server.arrived[0].body) == {}


async def test_a_query_carries_any_text_unharmed() -> None:
    said = "שלום & 100% = a+b?\n#\U0001f600"
    parameters = {"type": "object", "properties": {"said": {"type": "string"}}}
    async with serving(plain("{}")) as server:
        await fire(server.url(), {"said": said}, method="GET", parameters=parameters)
    assert server.arrived[0].query["said"] == said


async def test_a_lone_half_of_a_character_breaks_nothing() -> None:
    async with serving(plain('{"half": "\\ud83d", "whole": "\\ud83d\\ude00"}')) as server:
        for method in ("GET", "POST"):
            fired = await fire(server.url(), {"said": "\ud83d"}, method=method)
            assert fired.result == {"half": "?", "whole": "\U0001f600"}


async def test_what_the_model_adds_takes_no_other_fields_place() -> None:
    static = {"static_parameters": [{"name": "tenant", "value": "ours"}]}
    added = {"tenant": "theirs", "company_id": "theirs", "more": 1}
    async with serving(plain("{}")) as server:
        await fire(server.url(), added, payload_config=static)
        await fire(server.url(), added | {"day": "x"}, payload_config=PAYLOAD | static)
    first, second = (json.loads(request.body) for request in server.arrived)
    assert first == STANDARD | {"tenant": "ours", "more": 1}
    assert second == STANDARD | {"tenant": "ours", "day": "x"}


async def test_one_call_is_one_connection_and_nothing_of_it_stays_for_the_next() -> None:
    firing = webhooks()
    async with serving(plain("{}", Set_Cookie="who=first; Path=/")) as server:
        for _ in range(2):
            assert (await firing.fire(tool(server.url()), {}, CONTEXT)).error is None
    assert [request.headers["connection"] for request in server.arrived] == ["close", "close"]
    assert not any("cookie" in request.headers for request in server.arrived)


async def test_the_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await fired_at(plain('"direct"'))).result == "direct"


# --- Secrets


async def test_a_secret_arrives_and_shows_up_nowhere_else() -> None:
    async def echo(stream: Any) -> None:
        """Everything that came, as JSON that spells a slash as PHP does."""
        request = server.arrived[-1]
        said = json.dumps({"headers": request.headers, SECRET: [request.target]})
        await stream.send(plain(said.replace("/", "\\/")))

    headers = {"Authorization": "Bearer {{secret.TOKEN}}", "X-Plain": "seen", "Cookie": "literal=1"}
    async with serving(echo) as server:
        url = server.url("/hook/{{secret.TOKEN}}?sig={{secret.TOKEN}}&api_key=literal")
        fired = await fire(url, headers=headers)
    (request,) = server.arrived
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.target.startswith("/hook/s3cr3t/v%2Blue?")
    assert request.query == {"sig": SECRET, "api_key": "literal"}
    assert fired.request is not None
    assert fired.request["headers"] == {
        "Authorization": "{{secret.TOKEN}}",
        "X-Plain": "seen",
        "Cookie": "***",
    }
    assert fired.request["url"] == server.url("/hook/{{secret.TOKEN}}?sig={{secret.TOKEN}}&api_key=***")
    assert isinstance(fired.result, dict)
    assert fired.result["headers"]["authorization"] == "Bearer {{secret.TOKEN}}"
    assert "s3cr3t" not in fired.as_use("1", "bookSlot").model_dump_json()


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "302 Found"])
async def test_a_secret_in_any_answer_is_hidden(status: str) -> None:
    fired = await fired_at(
        plain(f"bad key {SECRET}", status, Location=f"/{SECRET}"), headers={"X-Key": "{{secret.TOKEN}}"}
    )
    assert fired.response is not None
    assert fired.response["body_preview"] == "bad key {{secret.TOKEN}}"
    assert "s3cr3t" not in repr(fired)


async def test_nothing_is_logged_that_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(plain("{}")) as server:
        url = server.url("/hook/{{secret.TOKEN}}")
        headers = {"X-Key": "{{secret.TOKEN}}"}
        await fire(url, {"said": "a caller's words"}, method="GET", headers=headers)
    assert len(server.arrived) == 1
    assert not any(word in caplog.text for word in ("s3cr3t", "caller"))


async def test_a_missing_secret_sends_nothing() -> None:
    async with serving(plain("{}")) as server:
        fired = await fire(server.url(), headers={"X-Key": "{{secret.ABSENT}}"})
    assert server.arrived == []
    assert fired.request is None
    assert "AGENT_EVAL_SECRET_ABSENT" in (fired.error or "")


async def test_a_secret_that_no_header_can_hold_sends_nothing_and_is_not_quoted() -> None:
    async with serving(plain("{}")) as server:
        fired = await fire(server.url(), headers={"X-Key": "{{secret.BROKEN}}"})
    assert server.arrived == []
    assert "X-Key" in (fired.error or "")
    assert "two" not in (fired.error or "")


async def test_what_a_model_says_is_never_taken_for_a_reference() -> None:
    async with serving(plain("{}")) as server:
        await fire(server.url(), {"said": "{{secret.TOKEN}}"})
    assert json.loads(server.arrived[0].body)["said"] == "{{secret.TOKEN}}"


# --- What is made of the answer


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("17", 17),
        ("Booked.", "Booked."),
        ("שלום", "שלום"),
        ("<p>Booked</p>", "<p>Booked</p>"),
        ("", None),
        ('{"cut": ', '{"cut": '),
        ('{"a": NaN}', '{"a": NaN}'),
        ("[1e999]", "[1e999]"),
        ("[" * 5_000, "[" * 5_000),
        ("[" * 100 + "]" * 100, "[" * 100 + "]" * 100),
        ("9" * 5_000, "9" * 5_000),
    ],
)
async def test_an_answer_is_json_or_else_text(body: str, result: object) -> None:
    fired = await fired_at(plain(body, "201 Created", Content_Type="application/json"))
    assert (fired.error, fired.result) == (None, result)
    assert fired.response == {"status": 201, "body_preview": body[:2000]}


async def test_no_content_is_a_success() -> None:
    fired = await fired_at(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (fired.error, fired.result) == (None, None)
    assert fired.response == {"status": 204, "body_preview": ""}


async def test_bytes_that_are_no_text_are_a_success() -> None:
    fired = await fired_at(plain(b"\xff\xfe\x00ok", Content_Type="text/plain; charset=no-such-thing"))
    assert fired.error is None
    assert str(fired.result).endswith("ok")


async def test_a_text_is_read_in_its_own_character_set() -> None:
    fired = await fired_at(plain("שלום".encode("cp1255"), Content_Type="text/plain; charset=windows-1255"))
    assert fired.result == "שלום"


async def test_a_server_that_compresses_unasked_is_understood() -> None:
    async with serving(plain(gzip.compress(b'{"ok": 1}'), Content_Encoding="gzip")) as server:
        fired = await fire(server.url())
    assert server.arrived[0].headers["accept-encoding"] == "identity"
    assert fired.result == {"ok": 1}


async def test_a_server_that_only_claims_to_compress_is_understood() -> None:
    assert (await fired_at(plain('{"ok": 1}', Content_Encoding="gzip"))).result == {"ok": 1}


async def test_of_a_huge_body_a_mebibyte_is_read() -> None:
    async def endless(stream: Any) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send(b"x" * 65_536)

    fired = await fired_at(endless)
    assert fired.error is None
    assert fired.result == "x" * 1024 * 1024
    assert fired.response == {"status": 200, "body_preview": "x" * 2000}


async def test_a_small_body_that_unpacks_to_a_huge_one_is_cut_as_well() -> None:
    fired = await fired_at(plain(gzip.compress(b"x" * 64 * 1024 * 1024), Content_Encoding="gzip"))
    assert fired.result == "x" * 1024 * 1024


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_is_not_followed(status: int) -> None:
    async with (
        serving(plain("{}")) as other,
        serving(plain("elsewhere", f"{status} Elsewhere", Location=other.url())) as server,
    ):
        fired = await fire(server.url())
    assert other.arrived == []
    assert fired.error == "The webhook answered with a redirect, and redirects are not followed."
    assert fired.result is None
    assert fired.response == {"status": status, "body_preview": "elsewhere"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", "The webhook refused the request."),
        ("404 Not Found", "The webhook refused the request."),
        ("429 Too Many", "The webhook refused the request."),
        ("500 Oh no", "The webhook's server failed."),
        ("503 Later", "The webhook's server failed."),
    ],
)
async def test_a_failure_is_an_error_that_quotes_nothing_and_is_not_tried_again(
    status: str, error: str
) -> None:
    async with serving(plain("the server's own words", status, Retry_After="0")) as server:
        fired = await fire(server.url())
    assert len(server.arrived) == 1
    assert (fired.error, fired.result) == (error, None)
    assert fired.response == {"status": int(status[:3]), "body_preview": "the server's own words"}


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"])
async def test_an_answer_that_does_not_end_in_time_is_an_error(head: bytes) -> None:
    async def stall(stream: Any) -> None:
        if head:
            await stream.send(head)
        await anyio.sleep_forever()

    fired = await fired_at(stall, timeout_seconds=1)
    assert fired.error == "The webhook gave no complete answer within 1 s."
    assert fired.request is not None
    assert fired.response == ({"status": 200, "body_preview": "{"} if head else None)


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        (b"", None),
        (b"HTTP/1.1 200", None),
        (b"this is not HTTP\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", {"status": 200, "body_preview": "{"}),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz",
            {"status": 200, "body_preview": "ab"},
        ),
    ],
)
async def test_a_connection_that_breaks_is_an_error(answer: bytes, response: Json | None) -> None:
    fired = await fired_at(answer)
    assert fired.error == "The connection to the webhook broke before its answer was complete."
    assert fired.response == response


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with serving(b"") as server:
        url = server.url()
    assert (await fire(url)).error == UNREACHABLE


async def test_an_outcome_can_be_kept_as_a_tool_use() -> None:
    fired = await fired_at(plain('{"ok": true}'))
    use = fired.as_use("call_1", "bookSlot")
    assert (use.id, use.name, use.mocked, use.result, use.error) == (
        "call_1",
        "bookSlot",
        False,
        {"ok": True},
        None,
    )
    assert (use.request, use.response, use.duration_ms) == (fired.request, fired.response, fired.duration_ms)
    assert ToolUse.model_validate_json(use.model_dump_json()) == use


# --- Wrong calls and wrong tools


async def test_a_call_with_wrong_arguments_does_not_fire() -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n", "day"]}
    async with serving(plain("{}")) as server:
        fired = await fire(server.url(), {"n": "a caller's words"}, parameters=parameters)
    assert server.arrived == []
    assert fired == Fired(
        error="The call was not made: its arguments are wrong. "
        'n: must be integer. The arguments: needs "day".'
    )


WRONG = [
    ({}, "url: is required"),
    ({"url": "ftp://h/x"}, "url"),
    ({"url": "h/x"}, "url"),
    ({"url": "http:///x"}, "url"),
    ({"url": "http://user:password@h/"}, "url: must not contain a user"),
    ({"url": "http://user@h/"}, "url: must not contain a user"),
    ({"url": "http://a\\@h/"}, "url"),
    ({"url": "http://h/a b"}, "url"),
    ({"url": "http://h\r\n/"}, "url"),
    ({"url": "http://h:99999/"}, "url"),
    ({"url": "http://[::1/"}, "url"),
    ({"url": "http://{{secret.TOKEN}}/x"}, "url: must not contain a secret in its host"),
    ({"url": "{{secret.TOKEN}}"}, "url"),
    ({"url": "http://h", "method": "TRACE"}, "method"),
    ({"url": "http://h", "timeout_seconds": 0.5}, "timeout_seconds"),
    ({"url": "http://h", "timeout_seconds": 61}, "timeout_seconds"),
    ({"url": "http://h", "headers": {"Host": "x"}}, "headers"),
    ({"url": "http://h", "headers": {"Content-Length": "5"}}, "headers"),
    ({"url": "http://h", "headers": {"a b": "x"}}, "headers"),
    ({"url": "http://h", "headers": {"a": "x\r\nb: y"}}, "headers"),
    ({"url": "http://h", "headers": {"a": "x\n"}}, "headers"),
    ({"url": "http://h", "headers": {"a": "ש"}}, "headers"),
    ({"url": "http://h", "haeders": {}}, "haeders: there is no such field"),
    ({"url": "http://h", "payload_config": {"static_parameters": [{"value": 1}]}}, r"static_parameters\[0\]"),
    (
        {
            "url": "http://h",
            "payload_config": {"static_parameters": [{"name": "k", "value": "{{secret.A}}"}]},
        },
        "must not contain a secret",
    ),
]


@pytest.mark.parametrize(("config", "told"), WRONG)
async def test_a_config_that_cannot_be_used_is_refused_when_saved_and_when_fired(
    config: Json, told: str
) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        check_webhook(config)
    assert "password" not in caught.value.message.replace("a user or password", "")
    wrong = Tool.model_validate({"name": "t", "type": "webhook", "config": config})
    fired = await webhooks().fire(wrong, {}, CONTEXT)
    assert fired == Fired(error=f"The tool's config cannot be used. {caught.value.message}")


def test_the_contracts_config_is_taken_with_its_defaults() -> None:
    config = check_webhook({"url": "https://h/hook"})
    assert (config.method, config.timeout_seconds, config.headers) == ("POST", 30, {})
    assert config.payload_config.include_standard_metadata
    assert check_webhook({"url": "HTTPS://Hooks.Example:8443/a?b={{secret.X}}#c", "timeout_seconds": 60})


# --- Where a request may go


async def test_loopback_is_refused_unless_it_is_allowed() -> None:
    async with serving(plain("{}")) as server:
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
            refused = await webhooks(allow_private=False).fire(tool(server.url(host=host)), {}, CONTEXT)
            assert "not on the public internet" in (refused.error or ""), host
            assert refused.request is None
    assert server.arrived == []


class Resolver:
    """Gives a name's answers one after the other, and the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def getaddrinfo(self, host: str | bytes, port: int, *_: object, **__: object) -> list[Any]:
        self.asked.append(host.decode() if isinstance(host, bytes) else host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [_entry(address, port) for address in answer]


def _entry(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


class Rerouted(httpx2.AsyncBaseTransport):
    """The network, except that every address leads to this machine. Keeps where requests wanted to go."""

    def __init__(self) -> None:
        self._real = httpx2.AsyncHTTPTransport(trust_env=False)
        self.wanted: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.wanted.append(request.url.host)
        request.url = request.url.copy_with(host="127.0.0.1")
        return await self._real.handle_async_request(request)

    async def aclose(self) -> None:
        await self._real.aclose()


async def test_a_name_that_is_bound_anew_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(["93.184.216.34"], ["127.0.0.1"])
    network = Rerouted()
    firing = webhooks(transports=lambda: network, allow_private=False)
    async with serving(plain('"reached"')) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
        fired = await firing.fire(tool(server.url(host="rebound.test")), {}, CONTEXT)
        assert (fired.error, fired.result) == (None, "reached")
        assert resolver.asked == ["rebound.test"]
        assert network.wanted == ["93.184.216.34"]
        assert server.arrived[0].headers["host"] == f"rebound.test:{server.port}"

        again = await firing.fire(tool(server.url(host="rebound.test")), {}, CONTEXT)
    assert "not on the public internet" in (again.error or "")
    assert len(server.arrived) == 1


async def test_the_next_address_is_tried_where_one_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolver = Resolver(["::1", "127.0.0.1"])
    async with serving(plain('"reached"')) as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
        fired = await fire(server.url(host="two.test"))
    assert fired.result == "reached"
    assert len(server.arrived) == 1


async def test_a_name_that_nobody_has_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    fired = await fire("http://nobody.test/x")
    assert fired.error == "nobody.test could not be found: the name has no address."
    assert fired.request is None


async def test_an_address_that_no_request_can_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["fe80::1%1"]).getaddrinfo)
    assert (await fire("http://scoped.test/x", timeout_seconds=1)).error == UNREACHABLE


# --- TLS


@dataclass
class Authority:
    """Makes certificates, and contexts for both ends of a connection."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def server(self, name: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(name, key.public_key(), is_authority=False)
        path = self.folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client(self) -> ssl.SSLContext:
        own = self._certificate("Authority", self.key.public_key(), is_authority=True)
        return ssl.create_default_context(cadata=own.decode())

    def _certificate(self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named("Authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Every name leads to this machine."""
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["127.0.0.1"]).getaddrinfo)
    return Authority(tmp_path)


async def test_the_server_has_to_prove_the_name_while_the_address_is_fixed(authority: Authority) -> None:
    asked_for: list[str | None] = []
    tls = authority.server("hooks.test")
    tls.sni_callback = lambda _connection, name, _context: asked_for.append(name)
    trusting = webhooks(transports=lambda: new_transport(authority.client()))
    async with serving(plain('"proven"'), tls) as server:
        for host in ("hooks.test", "hooks.test."):
            url = server.url(host=host, scheme="https")
            fired = await trusting.fire(tool(url), {}, CONTEXT)
            assert (fired.error, fired.result) == (None, "proven")
    assert asked_for == ["hooks.test", "hooks.test"]
    assert server.arrived[0].headers["host"] == f"hooks.test:{server.port}"


NO_PROOF = "The webhook's server could not prove that it is the one named in the url (TLS)."


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
async def test_a_certificate_of_another_name_is_no_proof(authority: Authority, host: str) -> None:
    trusting = webhooks(transports=lambda: new_transport(authority.client()))
    async with serving(plain("{}"), authority.server("hooks.test")) as server:
        fired = await trusting.fire(tool(server.url(host=host, scheme="https")), {}, CONTEXT)
    assert fired.error == NO_PROOF
    assert server.arrived == []


async def test_a_certificate_of_an_unknown_authority_is_no_proof(authority: Authority) -> None:
    async with serving(plain("{}"), authority.server("hooks.test")) as server:
        fired = await fire(server.url(host="hooks.test", scheme="https"))
    assert fired.error == NO_PROOF
    assert server.arrived == []
