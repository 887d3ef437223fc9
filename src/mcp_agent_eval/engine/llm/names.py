"""Names of models: `provider:name`, `offline`, and `pydantic-ai:provider:name` for every other provider."""

from __future__ import annotations

THROUGH = "pydantic-ai"
"""What begins the names of models that are played through it."""

OFFLINE = "offline"
"""The model that plays by fixed rules, and is no LLM."""

ELSEWHERE = "endpoint"
"""The provider of an agent that runs elsewhere, with its host as the name."""


def is_through(name: str) -> bool:
    """Whether a model is played through pydantic-ai."""
    return name.startswith(f"{THROUGH}:")


def split(name: str) -> tuple[str, str]:
    """A provider, and its own name for the model: empty where there is none, as for `offline`."""
    provider, _, model = name.removeprefix(f"{THROUGH}:").partition(":")
    return provider, model
