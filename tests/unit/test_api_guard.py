"""Foreign hosts and origins and bodies that are too large are turned away, whatever they send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agent_eval.api.guard import Guard

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "Eval.Example"})
APP = frozenset({"https://app.example.com"})
LARGEST = 10

KNOWN_HOSTS = [
    "127.0.0.1",
    "127.0.0.1:8000",
    "localhost:1",
    "LOCALHOST",
    "[::1]",
    "[::1]:8000",
    "[0:0:0:0:0:0:0:1]",
    "eval.example",
    "EVAL.example:443",
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "::1",
    "[::1",
    "[::2]",
    "localhost:",
    "localhost:x",
    "localhost:123456",
    "a@localhost",
    "localhost/x",
    "localhost,evil.example",
    "http://localhost",
    "localhost\\x",
    "[localhost]",
    "\xff",
    "",
    " ",
    "localhost localhost",
]
FOREIGN_ORIGINS = [
    "null",
    "http://evil.example",
    "http://localhost",
    "http://localhost:8001",
    "http://127.0.0.1:8000",
    "https://localhost",
    "http://localhost:8000/",
    "http://localhost:8000@evil.example",
    "localhost:8000",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "ftp://localhost:8000",
    "chrome-extension://localhost:8000",
    "http://",
    "http://[::1",
    "://",
    "\xff",
    "",
]
ODD_LENGTHS = [b"-1", b"ten", b"", b"\xb2\xb2", b"1e9"]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with how much it was sent."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def hides_failures(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers 400 to whatever goes wrong while it reads."""
    try:
        await echo(scope, receive, send)
    except Exception:
        await PlainTextResponse("bad", 400)(scope, receive, send)


async def answers_first(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that begins to answer before it reads."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await echo(scope, receive, send)


def guarded(
    app: ASGIApp = echo,
    *,
    hosts: frozenset[str] | None = LOOPBACK,
    origins: frozenset[str] = APP,
    largest: int = LARGEST,
) -> Guard:
    return Guard(app, hosts=hosts, origins=origins, largest=largest)


def client(guard: Guard) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(guard), base_url="http://127.0.0.1:8000")


async def request(guard: Guard, headers: dict[str, str]) -> httpx2.Response:
    async with client(guard) as api:
        sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        return await api.get("/", headers=sent)


async def raw(
    guard: Guard, headers: Sequence[tuple[bytes, bytes]] = (), parts: Sequence[bytes] = ()
) -> tuple[list[Any], int]:
    """What is sent for a request that no client would make, and how many parts of its body were read."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    read = iter(messages)

    async def receive() -> Any:
        return next(read)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [*headers]}
    await guard(scope, receive, send)
    return sent, len(messages) - len(list(read))


def assert_refused(response: httpx2.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)


class TestHosts:
    @pytest.mark.parametrize("host", KNOWN_HOSTS)
    async def test_a_known_host_comes_in_on_any_port(self, host: str) -> None:
        assert (await request(guarded(), {"Host": host})).status_code == 200

    @pytest.mark.parametrize("host", FOREIGN_HOSTS)
    async def test_any_other_host_does_not(self, host: str) -> None:
        response = await request(guarded(), {"Host": host})
        assert_refused(response, 403, "FORBIDDEN")
        assert "AGENT_EVAL_ALLOWED_HOSTS" in response.json()["hint"]

    async def test_a_host_must_be_given_once(self) -> None:
        for headers in ([], [(b"host", b"localhost"), (b"host", b"localhost")]):
            sent, _ = await raw(guarded(), headers)
            assert sent[0]["status"] == 403
            sent, _ = await raw(guarded(hosts=None), headers)
            assert sent[0]["status"] == 200

    async def test_without_a_list_any_host_will_do(self) -> None:
        for host in ("evil.example", "", "[::1", "\xff"):
            assert (await request(guarded(hosts=None), {"Host": host})).status_code == 200

    async def test_hosts_may_be_listed_with_brackets(self) -> None:
        guard = guarded(hosts=frozenset({"[::1]"}))
        assert (await request(guard, {"Host": "[::1]:8000"})).status_code == 200


class TestOrigins:
    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            ("localhost:8000", "http://localhost:8000"),
            ("LOCALHOST:8000", "http://localhost:8000"),
            ("localhost", "http://localhost:80"),
            ("localhost:443", "https://localhost"),
            ("eval.example", "https://eval.example"),
            ("[::1]:8000", "http://[::1]:8000"),
            ("localhost:8000", "https://app.example.com"),
            ("localhost:8000", "HTTPS://App.example.com"),
        ],
    )
    async def test_a_page_of_ours_or_a_listed_one_comes_in(self, host: str, origin: str) -> None:
        assert (await request(guarded(), {"Host": host, "Origin": origin})).status_code == 200

    @pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
    @pytest.mark.parametrize("hosts", [LOOPBACK, None])
    async def test_any_other_page_does_not(self, origin: str, hosts: frozenset[str] | None) -> None:
        response = await request(guarded(hosts=hosts), {"Host": "localhost:8000", "Origin": origin})
        assert_refused(response, 403, "FORBIDDEN")
        assert "AGENT_EVAL_ALLOWED_ORIGINS" in response.json()["hint"]

    async def test_every_origin_of_a_request_must_be_ours(self) -> None:
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"null")]
        sent, _ = await raw(guarded(), headers)
        assert sent[0]["status"] == 403

    async def test_a_page_needs_a_host_to_be_of(self) -> None:
        sent, _ = await raw(guarded(hosts=None), [(b"origin", b"http://localhost")])
        assert sent[0]["status"] == 403


class TestSizes:
    @pytest.mark.parametrize("size", [0, LARGEST])
    async def test_a_body_up_to_the_limit_comes_in(self, size: int) -> None:
        async with client(guarded()) as api:
            assert (await api.post("/", content=b"x" * size)).text == str(size)
            assert (await api.post("/", content=chunks(b"x" * size))).text == str(size)

    @pytest.mark.parametrize(("length", "status"), [(b"00000010", 200), (b"11", 413), (b"9" * 5000, 413)])
    async def test_a_length_is_read_as_a_number(self, length: bytes, status: int) -> None:
        sent, _ = await raw(guarded(), [(b"host", b"localhost"), (b"content-length", length)])
        assert sent[0]["status"] == status

    @pytest.mark.parametrize("app", [echo, hides_failures])
    async def test_a_larger_one_does_not_whether_it_says_so_or_not(self, app: ASGIApp) -> None:
        async with client(guarded(app)) as api:
            for body in (b"x" * (LARGEST + 1), chunks(b"x" * (LARGEST + 1))):
                assert_refused(await api.post("/", content=body), 413, "PAYLOAD_TOO_LARGE")

    async def test_no_more_is_read_than_shows_that_it_is_too_large(self) -> None:
        sent, read = await raw(guarded(), [(b"host", b"localhost")], [b"x" * 4] * 100)
        assert (sent[0]["status"], read) == (413, 3)

    async def test_a_body_that_says_its_size_is_not_read_at_all(self) -> None:
        headers = [(b"host", b"localhost"), (b"content-length", b"11")]
        sent, read = await raw(guarded(), headers, [b"x" * 11])
        assert (sent[0]["status"], read) == (413, 0)

    async def test_an_app_that_reads_on_is_told_again_and_reads_nothing(self) -> None:
        async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
            for _ in range(3):
                await hides_failures(scope, receive, send)

        sent, read = await raw(guarded(stubborn), [(b"host", b"localhost")], [b"x" * 11] * 3)
        assert ([message["type"] for message in sent], read) == (
            ["http.response.start", "http.response.body"],
            1,
        )

    async def test_an_answer_that_has_begun_is_not_followed_by_another(self) -> None:
        with pytest.raises(Exception, match="at most 10 bytes"):
            await raw(guarded(answers_first), [(b"host", b"localhost")], [b"x" * 11])

    async def test_failures_of_the_app_are_none_of_the_guards_business(self) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"):
            await raw(guarded(broken), [(b"host", b"localhost")])

    @pytest.mark.parametrize("length", ODD_LENGTHS)
    async def test_a_length_that_is_no_number_leaves_the_measuring_to_us(self, length: bytes) -> None:
        headers = [(b"host", b"localhost"), (b"content-length", length)]
        sent, _ = await raw(guarded(), headers, [b"x" * 10])
        assert sent[0]["status"] == 200
        sent, _ = await raw(guarded(), headers, [b"x" * 11])
        assert sent[0]["status"] == 413


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    """A body that does not tell its length."""
    for start in range(0, len(body), 4):
        yield body[start : start + 4]


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"origin", b"content-length"]),
        st.binary(max_size=20)
        | st.sampled_from([b"localhost", b"http://localhost", b"[::1]:80", b"[", b"http://[", b"9", b"null"]),
    ),
    max_size=4,
)


@given(HEADERS)
async def test_no_headers_bring_it_down(headers: list[tuple[bytes, bytes]]) -> None:
    for hosts in (LOOPBACK, None):
        sent, _ = await raw(guarded(hosts=hosts), headers)
        assert sent[0]["status"] in {200, 403, 413}


async def test_what_is_not_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    nothing: Any = None
    await guarded(app)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
