"""The contract over HTTP: an app on top of an open backend.

It knows nothing about keys except the scopes found by `access`, and refuses no hosts: that is done in front of it.
"""

from __future__ import annotations

from fastapi import FastAPI

from mcp_agent_eval import __version__
from mcp_agent_eval.api.document import DocumentedApi
from mcp_agent_eval.api.errors import install_handlers
from mcp_agent_eval.api.routes.flows import add_flows
from mcp_agent_eval.api.routes.nouns import add_nouns
from mcp_agent_eval.api.routes.root import add_root
from mcp_agent_eval.api.routes.runs import add_runs
from mcp_agent_eval.api.routes.suites import add_suite_runs
from mcp_agent_eval.backend.base import Backend


def build_api(backend: Backend, *, block_seconds: float = 60) -> FastAPI:
    """The API in front of a backend that is already open. Starting a run waits at most `block_seconds`."""
    app = DocumentedApi(
        title="mcp-agent-eval",
        version=__version__,
        description="Evaluate conversational agents: personas call them, assertions score what was said and done.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_handlers(app)
    add_root(app, backend)
    add_nouns(app, backend)
    add_runs(app, backend, block_seconds)
    add_suite_runs(app, backend)
    add_flows(app, backend)
    return app
