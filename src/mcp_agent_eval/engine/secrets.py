"""`{{secret.NAME}}` in a record: filled from the environment when used, and hidden wherever it could appear.

A secret's value is never stored, shown, logged or put in an error; its name may be. This cannot hide a secret that
a server sends back in another form, such as encoded or split in two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import quote

from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.types import Json

VARIABLE = "AGENT_EVAL_SECRET_"
"""The prefix of a secret's environment variable."""

MASK = "***"

_REFERENCE = re.compile(r"\{\{\s*secret\.([^{}]*)\}\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SENSITIVE = r"auth|cookie|token|secret|passw|credential|signature|session|(?:^|[-_])key$|api-?key"
_SENSITIVE_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
_PARAMETER = re.compile(r"([?&])([^=&#]*)=([^&#]*)")
_SHORTEST = 4
"""Fewest characters of a value to look for: a shorter one would be found everywhere."""


def fill_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with its secrets filled in.

    Raises:
        NotConfigured: names the variable that is not set, or the reference that is not valid.
    """
    return _REFERENCE.sub(lambda found: _value(_name(found), environment), text)


def fill_address(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Like `fill_secrets`, for an address: characters that would end a path or a parameter are percent-encoded."""
    return _REFERENCE.sub(lambda found: quote(_value(_name(found), environment)), url)


def values_in(texts: Iterable[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The values that `texts` refer to, as they are sent, each mapped to its reference.

    Raises:
        NotConfigured: as in `fill_secrets`.
    """
    names = [_name(found) for text in texts for found in _REFERENCE.finditer(text)]
    values = {_value(name, environment): f"{{{{secret.{name}}}}}" for name in names}
    return values | {quote(value): reference for value, reference in values.items()}


def hidden(value: object, secrets: Mapping[str, str]) -> object:
    """A JSON value in which no text or number reveals a secret; `secrets` come from `values_in`."""
    if isinstance(value, str):
        return _hidden_text(value, secrets)
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return {_hidden_text(key, secrets): hidden(item, secrets) for key, item in entries}
    if isinstance(value, list):
        return [hidden(item, secrets) for item in cast("list[object]", value)]
    return secrets.get(str(value), value) if len(str(value)) >= _SHORTEST else value


def shown(headers: Mapping[str, str]) -> Json:
    """Headers for the record: secrets are replaced by their references, other credentials are removed."""
    return {name: _shown(name, value) for name, value in headers.items()}


def shown_address(url: str) -> str:
    """An address for the record: references stay, other credentials in its parameters are removed."""
    return _PARAMETER.sub(lambda found: f"{found[1]}{found[2]}={_shown(found[2], found[3])}", url)


def _hidden_text(text: str, secrets: Mapping[str, str]) -> str:
    # Longest first: one secret may be part of another.
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, secrets[value])
    return text


def _shown(name: str, value: str) -> str:
    if references := [found[0] for found in _REFERENCE.finditer(value)]:
        return " ".join(references)
    return MASK if _SENSITIVE_NAME.search(name) else value


def _name(found: re.Match[str]) -> str:
    name = found[1].strip()
    if not _NAME.fullmatch(name):
        raise NotConfigured(
            f"{found[0]} is not a valid reference to a secret.",
            hint="Write {{secret.NAME}}, with letters, digits and _ in the name.",
        )
    return name


def _value(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(VARIABLE + name, "").strip()
    if not value:
        raise NotConfigured(
            f"The secret {name} is not set: {VARIABLE + name} is missing in the server's environment.",
            hint="Add it to the `env` of this server in your host's configuration, and restart it.",
        )
    return value
