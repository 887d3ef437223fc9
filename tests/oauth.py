"""An authorization server as far as a resource server sees one: metadata, public keys, and tokens that it signs."""

from __future__ import annotations

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

RESOURCE = "https://evals.example.com/eval/mcp"


class AuthorizationServer:
    """Serves its metadata below `address` and signs with the newest of its keys. `asked` holds every path."""

    def __init__(self, address: str, *, metadata: str = "oauth-authorization-server") -> None:
        self.address = address
        self.asked: list[str] = []
        self.is_silent = False
        self.claims_to_be = address
        self._metadata = metadata
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.rotate()
        self.app = Starlette(routes=[Route("/{path:path}", self._answer)])

    def rotate(self) -> None:
        """Sign with another key from now on, and publish that one only."""
        self._keys = {f"key {time.monotonic_ns()}": ec.generate_private_key(ec.SECP256R1())}

    def token(self, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """An access token; a claim of None is left out."""
        [(name, own)] = self._keys.items()
        now = int(time.time())
        usual = {"iss": self.address, "aud": RESOURCE, "sub": "maya", "iat": now, "exp": now + 600}
        given = {name: value for name, value in (usual | claims).items() if value is not None}
        named = {"kid": name} | (header or {})
        return jwt.encode(given, own if key is None else key, named.pop("alg", "ES256"), headers=named)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append(path)
        if self.is_silent:
            return Response(status_code=503)
        if f"/.well-known/{self._metadata}" in path:
            return JSONResponse({"issuer": self.claims_to_be, "jwks_uri": f"{self.address}/keys"})
        if path.endswith("/keys"):
            return JSONResponse({"keys": [self._public(name, key) for name, key in self._keys.items()]})
        return Response(status_code=404)

    def _public(self, name: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        published = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return published | {"kid": name, "use": "sig", "alg": "ES256"}
