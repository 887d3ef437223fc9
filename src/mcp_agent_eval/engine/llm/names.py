"""Names of models: `provider:name`, `offline`, and `pydantic-ai:provider:name` for every other provider."""

from __future__ import annotations

THROUGH = "pydantic-ai"
"""The prefix of models that are played through pydantic-ai."""

OFFLINE = "offline"
"""The model that follows fixed rules and is not an LLM."""

ELSEWHERE = "endpoint"
"""The provider name of agents that run elsewhere; the host is the model name."""


def is_through(name: str) -> bool:
    """Whether a model is played through pydantic-ai."""
    return name.startswith(f"{THROUGH}:")


def split(name: str) -> tuple[str, str]:
    """A provider and its own name for the model: empty if there is none, as for `offline`."""
    provider, _, model = name.removeprefix(f"{THROUGH}:").partition(":")
    return provider, model
