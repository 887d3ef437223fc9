"""What a backend can do beyond the contract, so that callers need not guess."""

from __future__ import annotations

from mcp_agent_eval.types.base import Model


class Capabilities(Model):
    """What the backend in use can do. `address` is its database or base URL, without secrets."""

    backend: str
    address: str
    creates_agents: bool = True
    """Whether agents can be created here; otherwise they are created in the vendor's dashboard."""
    judges: bool = True
    """Whether `custom_llm_judge` is really judged; a stub fails all of them."""
    shows_model_calls: bool = True
    """Whether requests to the models and their answers can be read."""
    keeps_idempotency_keys: bool = True
    """Whether repeating a start with the same key returns the first run, even from another process."""
