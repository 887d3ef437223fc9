"""Checks that what the settings name exists and answers, for layers that may not import the engine. Starts no
worker, and sends nothing that costs money."""

from __future__ import annotations

from pathlib import Path

from mcp_agent_eval.engine.llm.anthropic import AnthropicWire
from mcp_agent_eval.engine.llm.listing import list_models
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.llm.names import OFFLINE, is_through
from mcp_agent_eval.engine.llm.openai import OpenAIWire
from mcp_agent_eval.engine.secrets import VARIABLE as SECRET_PREFIX
from mcp_agent_eval.engine.store.addresses import shown
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.postgres_server import SCHEMES
from mcp_agent_eval.engine.store.sqlite_file import locate
from mcp_agent_eval.errors import ModelError
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import ModelRole

__all__ = [
    "OFFLINE",
    "SECRET_PREFIX",
    "address",
    "database_file",
    "model_of",
    "offered_models",
    "try_database",
]


def address(settings: Settings) -> str:
    """Where the database is, without a password."""
    return shown(settings.database_url)


def database_file(settings: Settings) -> Path | None:
    """The database's file; None if the database is on a server.

    Raises:
        StoreError: the setting names neither.
    """
    url = settings.database_url
    return None if url.startswith(SCHEMES) else locate(url)


async def try_database(settings: Settings) -> None:
    """Open the database like any command, which brings its schema up to date, and take the write lock.

    Raises:
        NotConfigured: its driver is not installed.
        StoreError: it cannot be used; the message says why.
    """
    database = await open_database(settings.database_url)
    try:
        await database.write(lambda _: None)
    finally:
        await database.aclose()


def model_of(settings: Settings, role: ModelRole) -> str:
    """The model that plays a role unless a record names another. Raises NotConfigured if there is none."""
    return Models(settings).name_for(role, None)


async def offered_models(settings: Settings, model: str) -> tuple[str, list[str]]:
    """The address of a model's provider, and the models that it lists for our key.

    Raises:
        NotConfigured: its key or its address is not valid.
        ModelError: it refused, did not answer, or sent no list.
    """
    models = Models(settings)
    try:
        models.get(model)
        if is_through(model):
            raise ModelError(f"{model} can be used; pydantic-ai lists no models", kind="malformed")
        provider, _, base_url = models.endpoint(model).partition("@")
        wire = OpenAIWire() if provider == "openai" else AnthropicWire()
        secret = settings.openai_api_key if provider == "openai" else settings.anthropic_api_key
        key = secret.get_secret_value().strip() if secret else None
        return base_url, await list_models(wire, models.clients()[0], base_url=base_url, key=key)
    finally:
        await models.aclose()
