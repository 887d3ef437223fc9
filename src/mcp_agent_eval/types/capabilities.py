"""What a backend can do beyond the contract, so that nobody has to guess."""

from __future__ import annotations

from mcp_agent_eval.types.base import Model


class Capabilities(Model):
    """What holds for the backend in use. `address` is where it is: a database or a base URL, without secrets."""

    backend: str
    address: str
    creates_agents: bool = True
    """Whether agents can be made here; elsewhere they are made in the vendor's dashboard."""
    judges: bool = True
    """Whether `custom_llm_judge` is really judged; a stub fails every one."""
    shows_model_calls: bool = True
    """Whether requests to and answers of the models can be read."""
    keeps_idempotency_keys: bool = True
    """Whether a start that is repeated with its key returns the first run, also from another process."""
