"""Every setting, read once from the environment at the edge and handed down as one frozen value.

A list of them, with what they do and their defaults, is in docs/settings.md; a test keeps it complete.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from mcp_agent_eval.errors import NotConfigured

PREFIX = "AGENT_EVAL_"


def default_database() -> str:
    """A SQLite file in the user's data folder, where each platform keeps such things."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library/Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return f"sqlite:///{root / 'mcp-agent-eval' / 'evals.db'}"


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
"""Several names, separated by commas."""


class Settings(BaseSettings):
    """Where things are kept, which model plays which role, and how long and how much at most."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    backend: Literal["embedded", "hosted"] = "embedded"
    database_url: str = Field(default_factory=default_database)
    api_url: str = "https://api.goyappr.com"
    api_key: SecretStr | None = None

    token: SecretStr | None = None
    rate_limit: int = Field(60, ge=1)
    allowed_hosts: Names = ()
    allowed_origins: Names = ()

    agent_model: str | None = None
    persona_model: str | None = None
    judge_model: str | None = None
    model_base_url: str | None = None
    model_timeout: float = Field(60, gt=0)
    model_deadline: float = Field(180, gt=0)
    model_attempts: int = Field(5, ge=1, le=20)
    prices: dict[str, dict[str, float]] = Field(default_factory=dict)
    allow_private_addresses: bool = False
    persona_end_marker: str = "[END OF CALL]"
    persona_end_tool: bool = True

    wait_seconds: float = Field(45, ge=0)
    wait_cap: float = Field(55, gt=0)
    max_concurrency: int = Field(16, ge=1, le=1000)
    run_timeout: float | None = Field(None, gt=0)

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(None, validation_alias="ANTHROPIC_BASE_URL")

    @field_validator("persona_end_marker")
    @classmethod
    def _marker_is_visible(cls, marker: str) -> str:
        if not marker.strip():
            raise ValueError("must hold a visible character")
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

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """From the environment, `given` on top.

        Raises:
            NotConfigured: a value does not fit; the message names the variable.
        """
        try:
            return cls(**given)
        except ValidationError as exc:
            raise NotConfigured(_explain(exc), hint=_CORRECT) from None
        except SettingsError as exc:
            raise NotConfigured(_explain_unreadable(exc), hint=_CORRECT) from None


_CORRECT = "Correct the variable and start again."


def _explain(exc: ValidationError) -> str:
    problems = exc.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{_variable(problem['loc'])}{problem['msg'].removeprefix('Value error, ')}" for problem in problems
    )


def _explain_unreadable(exc: SettingsError) -> str:
    """The source names the field in quotes, and the value must not be shown."""
    field = str(exc).partition('"')[2].partition('"')[0]
    return f"{_variable((field,))}is not valid JSON."


def _variable(loc: tuple[int | str, ...]) -> str:
    """What a message begins with; one about several variables names them itself."""
    if not loc:
        return ""
    field = str(loc[0])
    return f"{PREFIX + field.upper() if field in Settings.model_fields else field}: "
