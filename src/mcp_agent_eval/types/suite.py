"""A suite: cases that are run together."""

from __future__ import annotations

from pydantic import Field

from mcp_agent_eval.types.base import Id, Model, Name, Stamped


class SuiteDraft(Model):
    """A suite as a user describes it. `parallelism` is how many of its cases run at once."""

    name: Name
    description: str | None = None
    agent_id: Id | None = None
    parallelism: int = Field(1, ge=1, le=16)


class Suite(SuiteDraft, Stamped):
    """A suite as it is stored."""
