"""Makes addresses of databases safe to show."""

from __future__ import annotations

import re

_PORT = r"\d*/[^@?]*(?:\?|$)"
_PASSWORD = re.compile(
    # A password may contain characters that should have been written as %2F and the like, so it ends at the last @.
    rf"(?<=://)(?P<user>[^/?@:]*:)(?!{_PORT})(?P<secret>.*)(?=@)"
    r"|(?P<key>password\s*=\s*)(?P<value>'(?:[^'\\]|\\.)*'|[^&\s]*)",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_SIGNS = re.compile(r"[/@:?#&=%']+")
_MASK = "***"


def shown(url: str) -> str:
    """The address without its passwords."""
    return _PASSWORD.sub(lambda found: f"{found['user'] or found['key']}{_MASK}", url)


def without_passwords(text: str, url: str) -> str:
    """A message about an address, without its passwords: a parser that misreads an address may quote part of one."""
    secrets = [found["secret"] or found["value"] or "" for found in _PASSWORD.finditer(url)]
    parts = [part for secret in secrets for part in _SIGNS.split(secret) if part]
    return _QUOTED.sub(
        lambda found: _MASK if any(part in found[0] for part in parts) else found[0],
        text,
    )
