"""Access tokens of an authorization server, if there is one: this server as an OAuth resource server.

Tokens are JWTs of the issuer, for this audience, with our scopes in `scope`. Who gets which scopes is up to the
issuer; we only publish its address, in the metadata of RFC 9728.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import httpx2
import jwt
from jwt.exceptions import PyJWTError
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agent_eval.api.jwks import IssuerKeys
from mcp_agent_eval.api.mcp_path import PATH
from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.errors import ExpiredKey, InvalidKey, MissingKey, Unauthorized
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.caller import Caller
from mcp_agent_eval.types.key import SCOPES

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_SIGNED_BY = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Algorithms with a public key. With any other, everyone who can check a token could also create one."""
_LEEWAY = 30
_TIMEOUT = 5


class OAuthIssuer:
    """Checks tokens of `issuer` for `audience`; `resource` is the public address of our MCP endpoint."""

    def __init__(self, issuer: str, resource: str, audience: str, keys: IssuerKeys) -> None:
        self._issuer = issuer
        self._resource = resource
        self._audience = audience
        self._keys = keys

    async def check(self, token: str) -> Caller:
        """The caller that a token stands for.

        Raises:
            InvalidKey: it is not from the issuer, not for us, or not valid yet.
            ExpiredKey: it has expired.
            ApiError: the issuer's keys are unknown and cannot be fetched.
        """
        header = _header(token)
        for key in await self._keys.named(header.get("kid")):
            try:
                return _caller(self._claims(token, key, header["alg"]))
            except jwt.ExpiredSignatureError:
                raise ExpiredKey("The access token has expired.", hint=_AGAIN) from None
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError, jwt.PyJWKError):
                continue
            except PyJWTError as exc:
                raise _useless(_REASONS.get(type(exc), "does not fit")) from None
        raise _useless("is not signed by the authorization server that this server trusts")

    def _claims(self, token: str, key: Json, algorithm: str) -> Json:
        """Raises PyJWTError."""
        if key.get("alg", algorithm) != algorithm:
            raise jwt.InvalidKeyError("a key for another algorithm")
        return jwt.decode(
            token,
            jwt.PyJWK(key, algorithm),
            algorithms=_SIGNED_BY,
            audience=self._audience,
            issuer=(self._issuer.rstrip("/"), f"{self._issuer.rstrip('/')}/"),
            leeway=_LEEWAY,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )

    def challenge(self, error: Unauthorized) -> str:
        """The header that tells clients where the authorization server is and which scopes to request."""
        reason = [] if isinstance(error, MissingKey) else ['error="invalid_token"']
        found = f'resource_metadata="{_metadata_address(self._resource)}"'
        return "Bearer " + ", ".join([*reason, found, f'scope="{" ".join(SCOPES)}"'])

    def beside(self, app: ASGIApp) -> ASGIApp:
        """The app, with our metadata at its well-known address."""
        metadata: dict[str, object] = {
            "resource": self._resource,
            "authorization_servers": [self._issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": "mcp-agent-eval",
        }
        addresses = {_WELL_KNOWN, _WELL_KNOWN + PATH, _WELL_KNOWN + urlsplit(self._resource).path}

        async def published(scope: Scope, receive: Receive, send: Send) -> None:
            is_asked_for = scope["type"] == "http" and scope["path"] in addresses
            await (answer(metadata) if is_asked_for else app)(scope, receive, send)

        return published


@asynccontextmanager
async def open_issuer(settings: Settings) -> AsyncGenerator[OAuthIssuer | None]:
    """The issuer named in the settings, if any, until the block exits."""
    if settings.oauth_issuer is None or settings.oauth_resource is None:
        yield None
        return
    async with httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as http:
        audience = settings.oauth_audience or settings.oauth_resource
        keys = IssuerKeys(settings.oauth_issuer, http)
        yield OAuthIssuer(settings.oauth_issuer, settings.oauth_resource, audience, keys)


def _metadata_address(resource: str) -> str:
    """The metadata's path, below the resource's own prefix, so that every proxy routes it to us."""
    return resource.removesuffix(PATH) + _WELL_KNOWN + PATH


def _header(token: str) -> Json:
    """Raises InvalidKey."""
    try:
        header = jwt.get_unverified_header(token)
    except PyJWTError:
        raise _useless("cannot be read") from None
    if header.get("alg") not in _SIGNED_BY:
        raise _useless("is signed by an algorithm that is not accepted")
    return header


def _caller(claims: Json) -> Caller:
    who = claims.get("sub") or claims.get("client_id") or claims.get("azp") or "somebody"
    return Caller(f"oauth:{who}", frozenset(SCOPES) & _granted(claims))


def _granted(claims: Json) -> set[str]:
    """The scopes of a token: a space-separated string or, with some issuers, `scp` as a string or list."""
    given: object = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, list):
        return {word for word in cast(list[object], given) if isinstance(word, str)}
    return set(given.split()) if isinstance(given, str) else set()


_AGAIN = "Get a new one from the authorization server."
_REASONS: dict[type[PyJWTError], str] = {
    jwt.InvalidAudienceError: "is for another audience",
    jwt.InvalidIssuerError: "is of another issuer",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.MissingRequiredClaimError: "lacks one of exp, iss and aud",
}


def _useless(why: str) -> InvalidKey:
    return InvalidKey(f"The access token {why}.", hint=_AGAIN)
