"""Every setting, read once from the environment at the edge and passed down as one frozen value.

docs/settings.md lists them with their effects and defaults; a test keeps that list complete.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.types.base import Model, ModelName
from mcp_agent_eval.validation import what_is_wrong

PREFIX = "AGENT_EVAL_"


def default_database() -> str:
    """A SQLite file in the user's data folder, at the platform's usual place."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library/Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return f"sqlite:///{root / 'mcp-agent-eval' / 'evals.db'}"


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _with_plain_scheme(url: str) -> str:
    """The scheme before `://` is not case-sensitive."""
    scheme, found, rest = url.partition("://")
    return f"{scheme.lower()}{found}{rest}" if found else url


DatabaseAddress = Annotated[str, AfterValidator(_with_plain_scheme)]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
"""Several names, separated by commas."""


def is_secure(address: str) -> bool:
    """Whether no one can tamper with answers from this address: it uses TLS or is on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_local))


def _secure(address: str) -> str:
    if not is_secure(address):
        raise ValueError("must begin with https://, or with http:// for this machine")
    return address


SecureAddress = Annotated[str, AfterValidator(_secure)]


_LONGEST_ADDRESS = 300
"""Limit for a model server's address, which is part of a database index."""


def _plain_address(address: str) -> str:
    """A base address that can be stored and shown as it is; `/chat/completions` and the like are appended to it."""
    if not address.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if len(address) > _LONGEST_ADDRESS or not (address.isascii() and address.isprintable()):
        raise ValueError(f"must consist of at most {_LONGEST_ADDRESS} printable ASCII characters")
    if "@" in urlsplit(address).netloc or {"?", "#"} & set(address):
        raise ValueError(
            "must not contain a user, a password or anything after a ?: a key belongs in OPENAI_API_KEY or "
            "ANTHROPIC_API_KEY"
        )
    return address


ModelAddress = Annotated[str, AfterValidator(_plain_address)]

_LONGEST_TIME = 2_592_000
"""30 days."""
Seconds = Annotated[float, Field(gt=0, le=_LONGEST_TIME)]
Dollars = Annotated[float, Field(ge=0.000_001, le=1_000_000)]
"""A ceiling on costs. Bounds: at least one nano-dollar, and few enough of them to fit a column."""
DollarsPerMillion = Annotated[float, Field(ge=0, le=100_000)]


class Price(Model):
    """What a model costs, in dollars per million tokens. Cached tokens are priced like any others."""

    input: DollarsPerMillion
    output: DollarsPerMillion


class Settings(BaseSettings):
    """Where data is kept, which model plays which role, and the limits on time and cost."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    backend: Literal["embedded", "hosted"] = "embedded"
    database_url: DatabaseAddress = Field(default_factory=default_database)
    api_url: str = "https://api.goyappr.com"
    api_key: SecretStr | None = None

    token: SecretStr | None = None
    rate_limit: int = Field(60, ge=1, le=1_000_000)
    allowed_hosts: Names = ()
    allowed_origins: Names = ()
    shared_secret: SecretStr | None = Field(None, min_length=32)
    oauth_issuer: SecureAddress | None = None
    oauth_resource: SecureAddress | None = None
    oauth_audience: str | None = None

    agent_model: ModelName | None = None
    persona_model: ModelName | None = None
    judge_model: ModelName | None = None
    model_base_url: ModelAddress | None = None
    model_timeout: Seconds = 60
    model_deadline: Seconds = 180
    model_attempts: int = Field(5, ge=1, le=20)
    prices: dict[str, Price] = Field(default_factory=dict)
    allow_private_addresses: bool = False
    persona_end_marker: str = "[END OF CALL]"
    persona_end_tool: bool = True

    wait_seconds: float = Field(45, ge=0, le=_LONGEST_TIME)
    wait_cap: Seconds = 55
    max_concurrency: int = Field(16, ge=0, le=1000)
    model_concurrency: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(default_factory=dict)
    run_timeout: Seconds | None = None
    run_deadline: Seconds = 3600
    grace_seconds: float = Field(1, ge=0, le=_LONGEST_TIME)
    max_cost_usd: Dollars | None = None
    run_budget: Dollars | None = None
    suite_budget: Dollars | None = None
    day_budget: Dollars | None = None

    trace_content: bool = False

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: ModelAddress | None = Field(None, validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: ModelAddress | None = Field(None, validation_alias="ANTHROPIC_BASE_URL")

    @field_validator("persona_end_marker")
    @classmethod
    def _marker_is_visible(cls, marker: str) -> str:
        if not marker.strip():
            raise ValueError("must contain a visible character")
        return marker.strip()

    @field_validator("api_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _waits_below_the_cap(self) -> Self:
        if self.wait_seconds > self.wait_cap:
            raise ValueError(
                f"{PREFIX}WAIT_SECONDS ({self.wait_seconds:g}) is above {PREFIX}WAIT_CAP ({self.wait_cap:g})"
            )
        return self

    @model_validator(mode="after")
    def _issuer_with_a_resource(self) -> Self:
        if self.oauth_issuer and not self.oauth_resource:
            raise ValueError(f"{PREFIX}OAUTH_ISSUER also needs {PREFIX}OAUTH_RESOURCE")
        return self

    @field_validator("oauth_resource")
    @classmethod
    def _is_our_endpoint(cls, address: str | None) -> str | None:
        if address is not None and not address.endswith("/mcp"):
            raise ValueError("must be the address that clients use, ending in /mcp")
        return address

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """Read the environment; values in `given` take precedence.

        Raises:
            NotConfigured: a value does not fit; the message names the variable.
        """
        try:
            return cls(**given)
        except ValidationError as exc:
            raise NotConfigured(_explain(exc), hint=_CORRECT) from None
        except SettingsError as exc:
            raise NotConfigured(_explain_unreadable(exc), hint=_CORRECT) from None


_CORRECT = "Correct the variable and restart."


def _explain(exc: ValidationError) -> str:
    problems = exc.errors(include_url=False, include_input=False)
    return "; ".join(f"{_variable(problem['loc'])}{what_is_wrong(problem)}" for problem in problems)


def _explain_unreadable(exc: SettingsError) -> str:
    """The source names the field in quotes, and the value must not be shown."""
    field = str(exc).partition('"')[2].partition('"')[0]
    return f"{_variable((field,))}is not valid JSON."


def _variable(loc: tuple[int | str, ...]) -> str:
    """How a message begins: the variable, and the entry within it as a JSON path. A message about several variables
    names them itself."""
    if not loc:
        return ""
    field, *entry = loc
    name = PREFIX + str(field).upper() if field in Settings.model_fields else str(field)
    return f"{name}{''.join(f'[{json.dumps(part)}]' for part in entry)}: "
