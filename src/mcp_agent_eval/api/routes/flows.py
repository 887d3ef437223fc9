"""The flow simulator: how a flow responds to a caller, without any model."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from mcp_agent_eval.api.bodies import JsonObject
from mcp_agent_eval.api.parameters import Id
from mcp_agent_eval.api.responses import answer
from mcp_agent_eval.api.routes.endpoints import Answers, Operation, add
from mcp_agent_eval.api.shapes import FlowTest
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.types import LOCAL_COMPANY
from mcp_agent_eval.validation import validated


class FlowVerbs:
    """Operations on agents' flows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def test(self, id: Id, body: JsonObject) -> Response:
        """Deterministic and free: keywords decide where a model would, and tools return the given results or
        succeed. `flow_config` replaces the saved one."""
        test = validated(FlowTest, body)
        walked = await self._backend.simulate_flow(
            id,
            transcript=[line.model_dump() for line in test.transcript],
            mock_tool_results=test.mock_tool_results,
            flow_config=test.flow_config,
        )
        return answer({**walked, "company_id": LOCAL_COMPANY})


def add_flows(app: FastAPI, backend: Backend) -> None:
    """All routes for flows."""
    add(app, FlowVerbs(backend).test, _TEST)


_TEST = Operation(
    id="test_flow",
    method="POST",
    path="/agents/{id}/flow/test",
    summary="Walk a flow without a model",
    tag="agents",
    action="read",
    body="FlowTest",
    fails=frozenset({404}),
    answers={200: Answers("FlowWalk", "The path that it took.")},
)
