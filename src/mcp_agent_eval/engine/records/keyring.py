"""Creates, checks and revokes keys of the REST API. What a request may do with its key is decided elsewhere.

A secret leaves this module once, when its key is created. It is 32 random bytes, which cannot be guessed from their
hash, so a single SHA-256 protects it as well as a slow hash would.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import uuid4

from mcp_agent_eval.engine.store import keys
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.errors import AmbiguousReference, ExpiredKey, InvalidInput, InvalidKey, NotFound
from mcp_agent_eval.types import now
from mcp_agent_eval.types.key import SCOPES, ApiKey, KeyDraft, Scope
from mcp_agent_eval.types.references import fitting
from mcp_agent_eval.validation import validated

_PREFIX = "aek_"
_RANDOM_BYTES = 32
_HINT = 8
_SHOWN = 5
_MAKE_ONE = "Create a key with: mcp-agent-eval keys create NAME"


class Keyring:
    """The keys of one database. `clock` returns the time in UTC."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self, name: str, scopes: Sequence[Scope] = SCOPES, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key; return it with its secret, which cannot be read again.

        Raises:
            InvalidInput: the name is blank, a scope is unknown or missing, or the expiry is not in the future.
        """
        secret = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        key = self._new(name, scopes, expires_at, secret)
        await self._database.write(partial(keys.insert, key=key, secret_hash=_hash(secret)))
        return key, secret

    async def revoke(self, reference: str) -> ApiKey:
        """Revoke a key at once, by its id, the beginning of its id, or its name.

        Raises:
            NotFound: no key in use matches.
            AmbiguousReference: several match; the message names them.
        """
        return await self._database.write(partial(_revoke, reference=reference, at=self._clock()))

    async def check(self, secret: str) -> ApiKey:
        """The key with this secret.

        Raises:
            InvalidKey: there is none, or it was revoked.
            ExpiredKey: it has expired.
        """
        key = await self._database.read(partial(keys.by_hash, secret_hash=_hash(secret)))
        if key is None or key.revoked_at:
            raise InvalidKey("The API key is unknown here or was revoked.", hint=_MAKE_ONE)
        if self._has_expired(key):
            raise ExpiredKey(
                f"The API key expired on {key.expires_at:%Y-%m-%d at %H:%M} UTC.", hint=_MAKE_ONE
            )
        return key

    async def any_valid(self) -> bool:
        """Whether there is a key that `check` would accept."""
        return any(key.revoked_at is None and not self._has_expired(key) for key in await self.list())

    async def list(self) -> list[ApiKey]:
        """Every key, newest first, including expired and revoked ones."""
        return await self._database.read(keys.all)

    def _new(self, name: str, scopes: Sequence[Scope], expires_at: datetime | None, secret: str) -> ApiKey:
        unique = tuple(dict.fromkeys(scopes))
        draft = validated(KeyDraft, {"name": name, "scopes": unique, "expires_at": expires_at})
        made = self._clock()
        if draft.expires_at and draft.expires_at <= made:
            raise InvalidInput("expires_at: must be a time in the future.")
        return ApiKey(id=str(uuid4()), hint=secret[:_HINT], created_at=made, **dict(draft))

    def _has_expired(self, key: ApiKey) -> bool:
        return key.expires_at is not None and key.expires_at <= self._clock()


def _hash(secret: str) -> str:
    # What a client sends may contain anything, even lone surrogates.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _revoke(connection: Connection, reference: str, at: datetime) -> ApiKey:
    found = _candidates(keys.all(connection), reference)
    if not found:
        raise _nothing(reference)
    if len(found) > 1:
        raise _several(reference, found)
    keys.revoke(connection, found[0].id, at)
    return found[0].model_copy(update={"revoked_at": at})


def _candidates(known: Sequence[ApiKey], reference: str) -> list[ApiKey]:
    """The keys in use that a reference may mean."""
    usable = {key.id: key for key in known if key.revoked_at is None}
    return [usable[id] for id, _ in fitting(reference, [(key.id, key.name) for key in usable.values()])]


def _nothing(reference: str) -> NotFound:
    return NotFound(
        f"There is no key {_shown(reference)} in use.", hint="See the keys with: mcp-agent-eval keys list"
    )


def _several(reference: str, found: Sequence[ApiKey]) -> AmbiguousReference:
    named = ", ".join(f"{key.id} ({key.name}, {key.hint}…)" for key in found[:_SHOWN])
    more = " and more" if len(found) > _SHOWN else ""
    return AmbiguousReference(
        f"{_shown(reference)} matches more than one key: {named}{more}.",
        hint="Use the id of the one you mean.",
    )


def _shown(reference: str) -> str:
    """The reference, unless it looks like a secret that was pasted in its place."""
    most = _HINT if reference.startswith(_PREFIX) else 80
    return repr(reference if len(reference) <= most else reference[:most] + "…")
