"""The public keys of an authorization server: located through its metadata, fetched when needed, cached for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard, cast
from urllib.parse import urlsplit

import anyio
import httpx2

from mcp_agent_eval.errors import ApiError
from mcp_agent_eval.settings import is_secure
from mcp_agent_eval.types import Json

_KEPT = 600
_PAUSE = 10
_LARGEST = 512 * 1024


class IssuerKeys:
    """The keys of `issuer`, a URL. `clock` returns monotonic seconds.

    They are fetched again after ten minutes, or for an unknown key, but at most once in ten seconds, since anyone
    may send a token that names a key. While the issuer does not answer, known keys stay valid.
    """

    def __init__(
        self, issuer: str, http: httpx2.AsyncClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._lock = anyio.Lock()
        self._keys: list[Json] = []
        self._fetched: float | None = None
        self._tried: float | None = None

    async def named(self, key_id: str | None) -> list[Json]:
        """The keys with this id, or all of them for a token that names none. Raises ApiError if there are none at
        all because the issuer cannot be reached."""
        async with self._lock:
            if self._is_due() or not self._fitting(key_id):
                await self._refresh()
        if not self._keys:
            raise self._silent("could not be asked for its keys")
        return self._fitting(key_id)

    def _fitting(self, key_id: str | None) -> list[Json]:
        return [key for key in self._keys if key_id is None or key.get("kid") == key_id]

    def _is_due(self) -> bool:
        return self._fetched is None or self._clock() >= self._fetched + _KEPT

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was tried just now. Raises ApiError if no keys are known yet."""
        now = self._clock()
        if self._tried is not None and now < self._tried + _PAUSE:
            return
        self._tried = now
        try:
            self._keys = await self._fetch()
        except ApiError:
            if not self._keys:
                raise
            return
        self._fetched = now

    async def _fetch(self) -> list[Json]:
        keys = (await self._json(await self._address())).get("keys")
        usable = [key for key in _objects(keys) if key.get("use", "sig") == "sig"]
        if not usable:
            raise self._silent("published no keys that sign")
        return usable

    async def _address(self) -> str:
        """The address of the keys, from the first metadata in which the issuer names itself."""
        for place in _metadata_addresses(self._issuer):
            try:
                metadata = await self._json(place)
            except ApiError:
                continue
            address = metadata.get("jwks_uri")
            if _same_issuer(metadata.get("issuer"), self._issuer) and _is_safe(address):
                return address
        raise self._silent("has no metadata that names itself and its keys")

    async def _json(self, address: str) -> Json:
        try:
            async with self._http.stream("GET", address, headers={"Accept": "application/json"}) as response:
                response.raise_for_status()
                body = await _limited(response)
            return _object(json.loads(body))
        except (httpx2.HTTPError, ValueError) as exc:
            raise self._silent("could not be read") from exc

    def _silent(self, what: str) -> ApiError:
        return ApiError(
            f"The authorization server {self._issuer} {what}, so no token can be checked.",
            hint="Check that AGENT_EVAL_OAUTH_ISSUER is right and that the server can reach it, then try again.",
        )


async def _limited(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _LARGEST:
            raise ValueError("too large")
    return bytes(body)


def _metadata_addresses(issuer: str) -> Iterator[str]:
    """The metadata addresses of RFC 8414 and OpenID Connect, which insert a name before the issuer's path or append
    it."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    yield f"{origin}/.well-known/openid-configuration{path}"
    if path:
        yield f"{origin}{path}/.well-known/openid-configuration"


def _same_issuer(named: object, issuer: str) -> bool:
    return isinstance(named, str) and named.rstrip("/") == issuer.rstrip("/")


def _is_safe(address: object) -> TypeGuard[str]:
    return isinstance(address, str) and is_secure(address)


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return cast(Json, value)


def _objects(value: object) -> list[Json]:
    items = cast(list[object], value) if isinstance(value, list) else []
    return [cast(Json, item) for item in items if isinstance(item, dict)]
