"""The simulated caller."""

from __future__ import annotations

from pydantic import Field

from mcp_agent_eval.types.base import Json, Language, Model, ModelName, Name, Stamped, Text


class PersonaDraft(Model):
    """A persona as a user describes it. `behavior_traits` is free-form; `patience`, `verbosity`, `cooperation`,
    `interruption_tendency`, `goal`, `known_info` and `unknown_info` are understood by the simulator."""

    name: Name
    identity_prompt: Text
    description: str | None = None
    behavior_traits: Json = Field(default_factory=dict)
    language: Language = "en"
    voice_config: Json = Field(default_factory=dict)
    model: ModelName | None = None
    """Which model plays the persona, as `provider:name`. None: the setting decides. (Ours.)"""


class Persona(PersonaDraft, Stamped):
    """A persona as it is stored."""
