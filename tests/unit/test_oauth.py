"""Access tokens of an authorization server: what opens this server, what does not, and how its keys are found."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_agent_eval.api.access import Access
from mcp_agent_eval.api.jwks import IssuerKeys
from mcp_agent_eval.api.limits import RateLimit
from mcp_agent_eval.api.oauth import OAuthIssuer
from mcp_agent_eval.errors import ApiError, ExpiredKey, InvalidKey, NotConfigured
from mcp_agent_eval.settings import Settings
from tests.oauth import RESOURCE, AuthorizationServer

ISSUER = "https://login.example.com"
NESTED = base64.urlsafe_b64encode(b"[" * 30_000).decode()
BOTH = "agent_eval:read agent_eval:run"


class Clock:
    """Seconds that stand until they are moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> AuthorizationServer:
    return AuthorizationServer(ISSUER)


@pytest.fixture
async def issuer(server: AuthorizationServer, clock: Clock) -> AsyncIterator[OAuthIssuer]:
    async with reached(server) as http:
        yield OAuthIssuer(ISSUER, RESOURCE, RESOURCE, IssuerKeys(ISSUER, http, clock=clock))


def reached(server: AuthorizationServer) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(server.app))


class TestTokens:
    async def test_a_token_brings_its_scopes_and_is_counted_by_its_user(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        caller = await issuer.check(server.token(scope=f"{BOTH} openid"))
        assert (caller.name, caller.scopes) == ("oauth:maya", {"agent_eval:read", "agent_eval:run"})

    @pytest.mark.parametrize(
        "claims",
        [
            {"scp": BOTH},
            {"scp": BOTH.split()},
            {"scope": BOTH, "sub": None, "client_id": "maya"},
            {"scope": BOTH, "aud": ["other", RESOURCE]},
            {"scope": BOTH, "iss": f"{ISSUER}/"},
        ],
        ids=lambda claims: next(iter(claims)),
    )
    async def test_what_issuers_do_differently_is_understood(
        self, server: AuthorizationServer, issuer: OAuthIssuer, claims: dict[str, Any]
    ) -> None:
        caller = await issuer.check(server.token(**claims))
        assert (caller.name, caller.scopes) == ("oauth:maya", set(BOTH.split()))

    async def test_clocks_may_differ_a_little(self, server: AuthorizationServer, issuer: OAuthIssuer) -> None:
        assert (await issuer.check(server.token(exp=int(time.time()) - 5))).name == "oauth:maya"

    @pytest.mark.parametrize("claims", [{}, {"scope": "openid"}, {"scope": 7}, {"scp": [7, None]}])
    async def test_a_token_without_our_scopes_may_do_nothing(
        self, server: AuthorizationServer, issuer: OAuthIssuer, claims: dict[str, Any]
    ) -> None:
        assert (await issuer.check(server.token(**claims))).scopes == frozenset()

    @pytest.mark.parametrize(
        ("claims", "why"),
        [
            ({"aud": "https://elsewhere.example.com/mcp"}, "another audience"),
            ({"aud": None}, "lacks one of"),
            ({"iss": "https://evil.example.com"}, "another issuer"),
            ({"iss": None}, "lacks one of"),
            ({"exp": None}, "lacks one of"),
            ({"nbf": int(time.time()) + 36_000}, "not valid yet"),
            ({"header": {"kid": "unknown"}}, "not signed by"),
            ({"header": {"alg": "none"}, "key": ""}, "algorithm"),
            ({"header": {"alg": "HS256"}, "key": "x" * 32}, "algorithm"),
            ({"key": ec.generate_private_key(ec.SECP256R1())}, "not signed by"),
            ({"key": rsa.generate_private_key(65537, 2048), "header": {"alg": "RS256"}}, "not signed by"),
        ],
    )
    async def test_a_token_that_is_not_for_us_is_refused_with_the_reason(
        self, server: AuthorizationServer, issuer: OAuthIssuer, claims: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(InvalidKey, match=why):
            await issuer.check(server.token(**claims))

    async def test_an_expired_token_is_said_to_be(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        with pytest.raises(ExpiredKey):
            await issuer.check(server.token(exp=int(time.time()) - 60))

    @pytest.mark.parametrize("token", ["..", "a.b.c", "\xe9.\xe9.\xe9", "e30.e30.", f"{NESTED}.e30.", "..x"])
    async def test_what_is_no_token_is_refused(self, issuer: OAuthIssuer, token: str) -> None:
        with pytest.raises(InvalidKey):
            await issuer.check(token)

    async def test_a_token_cannot_bring_its_own_key(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        forged = ec.generate_private_key(ec.SECP256R1())
        header = {"jku": "https://evil.example.com/keys", "jwk": {"kty": "EC"}}
        with pytest.raises(InvalidKey, match="not signed by"):
            await issuer.check(server.token(key=forged, header=header))
        assert not any("evil" in path for path in server.asked)

    async def test_a_changed_token_is_refused(self, server: AuthorizationServer, issuer: OAuthIssuer) -> None:
        head, body, signature = server.token(scope="agent_eval:read").split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        more = base64.urlsafe_b64encode(json.dumps(claims | {"scope": BOTH}).encode()).decode().rstrip("=")
        with pytest.raises(InvalidKey, match="not signed by"):
            await issuer.check(f"{head}.{more}.{signature}")


class TestKeys:
    @pytest.mark.parametrize(
        ("address", "metadata"),
        [
            (ISSUER, "openid-configuration"),
            (f"{ISSUER}/tenant", "oauth-authorization-server/tenant"),
            (f"{ISSUER}/tenant", "openid-configuration/tenant"),
            (f"{ISSUER}/tenant/", "openid-configuration"),
        ],
    )
    async def test_they_are_found_wherever_issuers_publish_them(self, address: str, metadata: str) -> None:
        server = AuthorizationServer(address, metadata=metadata)
        server.claims_to_be = address.rstrip("/")
        async with reached(server) as http:
            assert len(await IssuerKeys(address, http).named(None)) == 1

    async def test_they_are_fetched_once_for_many_tokens_that_come_together(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(issuer.check, server.token())
        assert server.asked == ["/.well-known/oauth-authorization-server", "/keys"]

    async def test_a_new_key_is_found_but_nobody_can_make_us_ask_all_the_time(
        self, server: AuthorizationServer, issuer: OAuthIssuer, clock: Clock
    ) -> None:
        await issuer.check(server.token())
        server.rotate()
        for _ in range(3):
            with pytest.raises(InvalidKey):
                await issuer.check(server.token())
        assert server.asked.count("/keys") == 1
        clock.seconds += 10
        await issuer.check(server.token())
        assert server.asked.count("/keys") == 2

    async def test_a_key_that_was_withdrawn_opens_nothing_after_ten_minutes(
        self, server: AuthorizationServer, issuer: OAuthIssuer, clock: Clock
    ) -> None:
        old = server.token()
        await issuer.check(old)
        server.rotate()
        await issuer.check(old)
        clock.seconds += 600
        with pytest.raises(InvalidKey):
            await issuer.check(old)

    async def test_while_the_issuer_is_silent_known_keys_stay_good(
        self, server: AuthorizationServer, issuer: OAuthIssuer, clock: Clock
    ) -> None:
        await issuer.check(server.token())
        server.is_silent = True
        clock.seconds += 600
        await issuer.check(server.token())

    async def test_an_issuer_that_never_answered_is_a_fault_that_is_named(
        self, server: AuthorizationServer, issuer: OAuthIssuer, clock: Clock
    ) -> None:
        server.is_silent = True
        for _ in range(3):
            with pytest.raises(ApiError, match=ISSUER) as raised:
                await issuer.check(server.token())
        assert "AGENT_EVAL_OAUTH_ISSUER" in (raised.value.hint or "")
        assert len(server.asked) == 2
        server.is_silent = False
        clock.seconds += 10
        await issuer.check(server.token())

    async def test_metadata_of_somebody_else_is_not_believed(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        server.claims_to_be = "https://evil.example.com"
        with pytest.raises(ApiError, match="names itself"):
            await issuer.check(server.token())
        assert "/keys" not in server.asked


async def shows_its_caller(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(scope["state"]["caller"].name)(scope, receive, send)


def guarded(issuer: OAuthIssuer, token: str | None = None) -> httpx2.AsyncClient:
    app = Access(
        issuer.beside(shows_its_caller), keyring=None, token=token, limit=RateLimit(9), issuer=issuer
    )
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://evals.example.com")


class TestTheDoor:
    async def test_a_client_without_a_token_is_told_where_to_get_one(self, issuer: OAuthIssuer) -> None:
        async with guarded(issuer) as api:
            refused = await api.post("/mcp")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == (
                'Bearer resource_metadata="https://evals.example.com/eval/.well-known/oauth-protected-resource/mcp", '
                'scope="agent_eval:read agent_eval:create agent_eval:update agent_eval:delete agent_eval:run"'
            )
            wrong = await api.post("/mcp", headers={"Authorization": "Bearer a.b.c"})
            assert wrong.headers["www-authenticate"].startswith('Bearer error="invalid_token", resource_')

    @pytest.mark.parametrize("suffix", ["", "/mcp", "/eval/mcp"])
    async def test_our_metadata_names_us_and_the_issuer(self, issuer: OAuthIssuer, suffix: str) -> None:
        async with guarded(issuer) as api:
            found = (await api.get(f"/.well-known/oauth-protected-resource{suffix}")).json()
        assert (found["resource"], found["authorization_servers"]) == (RESOURCE, [ISSUER])
        assert "agent_eval:run" in found["scopes_supported"]

    async def test_a_token_comes_in_beside_the_keys_of_our_own(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        async with guarded(issuer, token="one.of.ours") as api:
            for sent, name in ((server.token(), "oauth:maya"), ("one.of.ours", "token")):
                answer = await api.get("/agents", headers={"Authorization": f"Bearer {sent}"})
                assert (answer.status_code, answer.json()) == (200, name)
            assert (await api.get("/agents", headers={"Authorization": "Bearer aek_x"})).status_code == 401

    async def test_keys_that_cannot_be_fetched_are_no_fault_of_the_client(
        self, server: AuthorizationServer, issuer: OAuthIssuer
    ) -> None:
        server.is_silent = True
        async with guarded(issuer) as api:
            answer = await api.post("/mcp", headers={"Authorization": f"Bearer {server.token()}"})
        assert (answer.status_code, answer.json()["error"]["data"]["code"]) == (502, "UPSTREAM_ERROR")
        assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"oauth_issuer": ISSUER}, "AGENT_EVAL_OAUTH_RESOURCE"),
        (
            {"oauth_issuer": "http://login.example.com", "oauth_resource": RESOURCE},
            "OAUTH_ISSUER: must begin",
        ),
        ({"oauth_issuer": ISSUER, "oauth_resource": "https://evals.example.com"}, "ending in /mcp"),
        ({"oauth_issuer": "https://[", "oauth_resource": RESOURCE}, "OAUTH_ISSUER"),
        ({"shared_secret": "too short"}, "AGENT_EVAL_SHARED_SECRET"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(NotConfigured, match=named):
        Settings.read(**given)
