"""Only a good key comes in, no more often than it may, and everybody is told how often that is."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_agent_eval.api.access import Access
from mcp_agent_eval.api.limits import RateLimit, Window
from mcp_agent_eval.engine.records.keyring import Keyring
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.sqlite import open_sqlite
from mcp_agent_eval.errors import RateLimited
from mcp_agent_eval.types.caller import Caller
from mcp_agent_eval.types.key import SCOPES

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
COUNTED = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
TOKEN = "a-token-of-the-environment-é"


class Clock:
    """Unix seconds that stand until they are moved."""

    def __init__(self, seconds: float = 1000) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_sqlite(tmp_path / "evals.db")
    yield opened
    await opened.aclose()


@pytest.fixture
def keyring(database: Database) -> Keyring:
    return Keyring(database)


async def shows_its_scopes(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with what it was told of its caller; its paths may name a status."""
    state = scope.get("state", {})
    status = int(scope["path"].removeprefix("/status/")) if "/status/" in scope["path"] else 200
    caller: Caller = state.get("caller", Caller("nobody"))
    scopes = None if caller.scopes is None else sorted(caller.scopes)
    await JSONResponse({"scopes": scopes}, status)(scope, receive, send)


def client(
    keyring: Keyring | None = None, token: str | None = None, limit: RateLimit | None = None
) -> httpx2.AsyncClient:
    app = Access(shows_its_scopes, keyring=keyring, token=token, limit=limit or RateLimit(60))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1")


def bearer(secret: str, scheme: str = "Bearer") -> dict[bytes, bytes]:
    return {b"Authorization": f"{scheme} {secret}".encode()}


def remaining(response: httpx2.Response) -> int:
    return int(response.headers["x-ratelimit-remaining"])


class TestKeys:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
    async def test_a_good_key_comes_in_with_its_scopes(self, keyring: Keyring, scheme: str) -> None:
        _, secret = await keyring.create("ci", ["agent_eval:read", "agent_eval:run"])
        async with client(keyring) as api:
            response = await api.get("/agents", headers=bearer(secret, scheme))
        assert response.status_code == 200
        assert response.json() == {"scopes": ["agent_eval:read", "agent_eval:run"]}

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-Api-Key": "aek_abc"}]
        + [{"Authorization": value} for value in ("", "Bearer", "Bearer ", "Basic YTpi", "aek_abc")],
    )
    async def test_without_a_bearer_key_nobody_comes_in(
        self, keyring: Keyring, headers: dict[str, str]
    ) -> None:
        async with client(keyring) as api:
            response = await api.get("/agents", headers=headers)
        assert_challenged(response, "MISSING_KEY")
        assert "Authorization: Bearer" in response.json()["error"]

    @pytest.mark.parametrize("secret", [b"aek_unknown", b"\xff\xfe", b"a b", b"x" * 10_000])
    async def test_an_unknown_key_does_not_come_in(self, keyring: Keyring, secret: bytes) -> None:
        await keyring.create("ci")
        async with client(keyring, TOKEN) as api:
            response = await api.get("/agents", headers={b"Authorization": b"Bearer " + secret})
        assert_challenged(response, "INVALID_KEY")

    async def test_a_revoked_key_does_not_come_in_from_that_moment_on(self, keyring: Keyring) -> None:
        _, secret = await keyring.create("ci")
        async with client(keyring) as api:
            assert (await api.get("/agents", headers=bearer(secret))).status_code == 200
            await keyring.revoke("ci")
            assert_challenged(await api.get("/agents", headers=bearer(secret)), "INVALID_KEY")

    async def test_an_expired_key_does_not_come_in(self, keyring: Keyring, database: Database) -> None:
        long_ago = Keyring(database, clock=lambda: NOON - timedelta(days=9999))
        _, secret = await long_ago.create("old", SCOPES, NOON - timedelta(days=9998))
        async with client(keyring) as api:
            assert_challenged(await api.get("/agents", headers=bearer(secret)), "EXPIRED_KEY")

    async def test_the_token_of_the_environment_may_do_everything(self, keyring: Keyring) -> None:
        for ring in (keyring, None):
            async with client(ring, TOKEN) as api:
                response = await api.get("/agents", headers=bearer(TOKEN))
                assert response.json() == {"scopes": sorted(SCOPES)}
                assert_challenged(await api.get("/agents", headers=bearer(TOKEN + "x")), "INVALID_KEY")

    async def test_an_empty_keyring_lets_nobody_in(self, keyring: Keyring) -> None:
        async with client(keyring) as api:
            assert_challenged(await api.get("/agents"), "MISSING_KEY")

    async def test_without_keys_and_token_everybody_comes_in(self) -> None:
        async with client() as api:
            for headers in ({}, bearer("whatever")):
                response = await api.get("/agents", headers=headers)
                assert (response.status_code, response.json()) == (200, {"scopes": None})

    @pytest.mark.parametrize("path", ["/", "/openapi.json"])
    async def test_what_there_is_may_be_read_by_anybody(self, keyring: Keyring, path: str) -> None:
        async with client(keyring) as api:
            for method in ("GET", "HEAD"):
                assert (await api.request(method, path)).status_code == 200
            for method in ("POST", "DELETE", "OPTIONS"):
                assert_challenged(await api.request(method, path), "MISSING_KEY")
            assert_challenged(await api.get(f"{path}x"), "MISSING_KEY")

    async def test_keys_that_cannot_be_read_are_a_fault_of_ours(
        self, keyring: Keyring, database: Database
    ) -> None:
        _, secret = await keyring.create("ci")
        await database.aclose()
        async with client(keyring) as api:
            response = await api.get("/agents", headers=bearer(secret))
        assert (response.status_code, response.json()["code"]) == (503, "STORE_UNAVAILABLE")
        assert "www-authenticate" not in response.headers

    async def test_no_key_is_repeated_in_an_answer_or_a_log(
        self, keyring: Keyring, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        _, secret = await keyring.create("ci")
        await keyring.revoke("ci")
        async with client(keyring, TOKEN) as api:
            for sent in (secret, "aek_some_secret", f"{TOKEN} x"):
                response = await api.get("/agents", headers=bearer(sent))
                assert sent not in f"{response.text} {response.headers} {caplog.text}"

    async def test_callers_do_not_see_what_others_may_do(self, keyring: Keyring) -> None:
        """A server may hand the same state to every request."""
        app = Access(shows_its_scopes, keyring=keyring, token=None, limit=RateLimit(60))
        _, secret = await keyring.create("ci")
        shared: dict[str, Any] = {}
        sent = await answers(app, state=shared, headers=[(b"authorization", f"Bearer {secret}".encode())])
        assert sent[0]["status"] == 200
        assert shared == {}


class TestCounting:
    async def test_every_answer_tells_what_is_left(self, keyring: Keyring, clock: Clock) -> None:
        _, secret = await keyring.create("ci")
        async with client(keyring, limit=RateLimit(5, clock=clock)) as api:
            for number, path in enumerate(["/agents", "/status/404", "/status/401", "/status/500"], start=1):
                response = await api.get(path, headers=bearer(secret))
                assert remaining(response) == 5 - number
                assert response.headers["x-ratelimit-limit"] == "5"
                assert response.headers["x-ratelimit-reset"] == "1060"

    async def test_one_request_too_many_is_told_when_to_come_back(
        self, keyring: Keyring, clock: Clock
    ) -> None:
        _, secret = await keyring.create("ci")
        async with client(keyring, limit=RateLimit(1, clock=clock)) as api:
            await api.get("/agents", headers=bearer(secret))
            clock.seconds += 17.5
            response = await api.get("/agents", headers=bearer(secret))
            assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMIT")
            assert (response.headers["retry-after"], response.headers["x-ratelimit-reset"]) == ("43", "1060")
            assert remaining(response) == 0
            clock.seconds += 43
            assert (await api.get("/agents", headers=bearer(secret))).status_code == 200

    async def test_keys_are_counted_apart(self, keyring: Keyring) -> None:
        secrets = [(await keyring.create("ci"))[1] for _ in range(2)]
        async with client(keyring, TOKEN, RateLimit(1)) as api:
            for secret in [*secrets, TOKEN]:
                assert (await api.get("/agents", headers=bearer(secret))).status_code == 200
                assert (await api.get("/agents", headers=bearer(secret))).status_code == 429

    async def test_all_who_come_without_a_key_share_one_limit(self) -> None:
        async with client(limit=RateLimit(2)) as api:
            answers = [await api.get("/agents", headers=bearer(str(n))) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error"] == "More than 2 requests in a minute (AGENT_EVAL_RATE_LIMIT)."

    async def test_refused_keys_and_open_pages_are_not_counted(self, keyring: Keyring) -> None:
        _, secret = await keyring.create("ci")
        async with client(keyring, limit=RateLimit(2)) as api:
            for path, headers in (("/agents", {}), ("/agents", bearer("aek_x")), ("/", bearer(secret))):
                response = await api.get(path, headers=headers)
                assert not COUNTED & set(response.headers)
            assert remaining(await api.get("/agents", headers=bearer(secret))) == 1

    async def test_requests_at_the_same_time_do_not_slip_through(self, keyring: Keyring) -> None:
        _, secret = await keyring.create("ci")
        statuses: list[int] = []
        async with client(keyring, limit=RateLimit(5)) as api, anyio.create_task_group() as tasks:

            async def ask() -> None:
                statuses.append((await api.get("/agents", headers=bearer(secret))).status_code)

            for _ in range(20):
                tasks.start_soon(ask)
        assert (statuses.count(200), statuses.count(429)) == (5, 15)


class TestOtherScopes:
    async def test_what_is_not_http_passes_through_untouched(self, keyring: Keyring) -> None:
        seen: list[Any] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.extend([scope, receive, send])

        access = Access(app, keyring=keyring, token=None, limit=RateLimit(1))
        given: list[Any] = [{"type": "lifespan"}, no_body, no_answer]
        await access(*given)
        assert all(mine is theirs for mine, theirs in zip(given, seen, strict=True))


class TestWindows:
    def test_a_window_opens_with_the_first_request_and_lasts_a_minute(self) -> None:
        clock = Clock(1000.4)
        limit = RateLimit(2, clock=clock)
        assert limit.window("a") == Window(2, 2, 1061)
        assert limit.take("a") == Window(2, 1, 1061)
        clock.seconds = 1060.3
        assert limit.take("a") == Window(2, 0, 1061)
        with pytest.raises(RateLimited) as refused:
            limit.take("a")
        assert refused.value.retry_after == 1
        clock.seconds = 1061
        assert limit.take("a") == Window(2, 1, 1121)

    def test_whoever_comes_back_when_told_to_comes_in(self) -> None:
        for fraction in (0.0, 0.1, 0.5, 0.9, 0.999):
            clock = Clock(1000)
            limit = RateLimit(1, clock=clock)
            limit.take("a")
            clock.seconds += 30 + fraction
            with pytest.raises(RateLimited) as refused:
                limit.take("a")
            assert refused.value.retry_after is not None
            clock.seconds += refused.value.retry_after
            limit.take("a")

    def test_refusals_do_not_make_the_wait_longer(self) -> None:
        clock = Clock()
        limit = RateLimit(1, clock=clock)
        limit.take("a")
        for clock.seconds in (1010, 1030, 1059):
            with pytest.raises(RateLimited):
                limit.take("a")
        clock.seconds = 1060
        assert limit.take("a").remaining == 0

    def test_windows_that_are_over_are_forgotten(self) -> None:
        clock = Clock()
        limit = RateLimit(1, clock=clock)
        for number in range(1000):
            clock.seconds += 1
            limit.take(f"key {number}")
        assert len(limit._counts) <= 60

    def test_a_clock_that_is_set_back_locks_nobody_out(self) -> None:
        clock = Clock(10_000)
        limit = RateLimit(1, clock=clock)
        limit.take("a")
        clock.seconds += 40
        limit.take("b")
        clock.seconds -= 39
        assert limit.take("b").reset == 10_061
        clock.seconds = 500
        assert limit.take("a").reset == 560


def assert_challenged(response: httpx2.Response, code: str) -> None:
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    if response.request.method != "HEAD":
        assert response.json()["code"] == code
        assert response.json()["hint"]


async def no_body() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def no_answer(message: Any) -> None:
    raise AssertionError(message)


async def answers(app: Access, **scope: Any) -> list[Any]:
    """What an app sends for one bare request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/agents"} | scope, no_body, send)
    return sent
