"""Which model speaks to an endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import httpx2

from mcp_agent_eval.engine.endpoints.openai import OpenAIEndpoint
from mcp_agent_eval.engine.endpoints.webhook import WebhookEndpoint
from mcp_agent_eval.engine.llm.messages import Model
from mcp_agent_eval.types import AgentDraft
from mcp_agent_eval.types.endpoint import Endpoint


def endpoint_model(
    endpoint: Endpoint,
    clients: Sequence[httpx2.AsyncClient],
    agent: AgentDraft,
    *,
    conversation_id: str,
    environment: Mapping[str, str] = os.environ,
    base_delay: float = 0.5,
) -> Model:
    """A model for one conversation. It keeps to one of the `clients`, and conversations are spread over them.

    Raises:
        NotConfigured: a secret that a header refers to is missing, or cannot be sent.
    """
    client = clients[hash(conversation_id) % len(clients)]
    if endpoint.protocol == "openai":
        return OpenAIEndpoint(
            endpoint,
            client,
            conversation_id=conversation_id,
            environment=environment,
            base_delay=base_delay,
        )
    return WebhookEndpoint(
        endpoint,
        client,
        conversation_id=conversation_id,
        agent_name=agent.name,
        variables=agent.variables,
        environment=environment,
        base_delay=base_delay,
    )
