"""Chooses the model that speaks to an endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import httpx2

from mcp_agent_eval.engine.endpoints import openai, webhook
from mcp_agent_eval.engine.endpoints.line import Line
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
    """A model for one conversation. It uses one of the `clients`; conversations are spread over them.

    Raises:
        NotConfigured: a secret that a header refers to is missing, or cannot be sent.
    """
    chats = endpoint.protocol == "openai"
    line = Line(
        endpoint,
        clients[hash(conversation_id) % len(clients)],
        url=openai.chat_address(endpoint.url) if chats else endpoint.url,
        shape=openai.SHAPE if chats else webhook.SHAPE,
        conversation_id=conversation_id,
        environment=environment,
        base_delay=base_delay,
    )
    if chats:
        return openai.OpenAIEndpoint(endpoint, line)
    return webhook.WebhookEndpoint(endpoint, line, agent_name=agent.name, variables=agent.variables)
