"""The REST API over a real backend, and a caller that speaks to it in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from starlette.types import ASGIApp

from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.backend.embedded import EmbeddedBackend, open_embedded
from mcp_agent_eval.settings import Settings
from tests.provider import Provider, provider
from tests.support import OFFLINE

NOWHERE = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
"""A UUID that nothing has."""

BOOK: dict[str, Any] = {
    "name": "bookAppointment",
    "description": "Books an appointment.",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string", "description": "The day"}},
        "required": ["day"],
    },
}


class Caller:
    """Sends requests and tells answers apart from refusals."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.http = client

    async def send(
        self, method: str, path: str, body: Any = None, *, status: int, **headers: str
    ) -> dict[str, Any]:
        """The body of an answer that has to have this status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {} if body is None else {"json": body}
        response = await self.http.request(method, path, headers=named, **content)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        return await self.send("GET", path, status=status)

    async def post(self, path: str, body: Any = None, status: int = 201, **headers: str) -> dict[str, Any]:
        return await self.send("POST", path, body, status=status, **headers)

    async def settled(self, path: str) -> dict[str, Any]:
        """A run or a suite run once nothing of it can change any more."""
        with anyio.fail_after(30):
            while True:
                found = await self.get(path)
                if found.get("in_flight") == 0 or found.get("queue_status") == "done":
                    return found

    async def refused(self, method: str, path: str, body: Any = None, *, status: int) -> dict[str, Any]:
        """The body of a refusal, which has the contract's shape."""
        found = await self.send(method, path, body, status=status)
        assert found.keys() - {"hint"} == {"error", "code"}, found
        assert all(isinstance(text, str) for text in found.values())
        return found


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Offline models, and a database in this folder."""
    return Settings.read(**{"database_url": f"sqlite:///{folder / 'evals.db'}"} | OFFLINE | changes)


@asynccontextmanager
async def open_backend(folder: Path, **changes: Any) -> AsyncGenerator[EmbeddedBackend]:
    """An engine in this process, with a database in this folder."""
    async with open_embedded(settings_in(folder, **changes)) as backend:
        yield backend


@asynccontextmanager
async def calling(app: ASGIApp) -> AsyncGenerator[Caller]:
    """A caller of an app. What the app raises would show as an error of the test."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
        yield Caller(client)


@asynccontextmanager
async def open_api(folder: Path, *, block_seconds: float = 60, **changes: Any) -> AsyncGenerator[Caller]:
    """A caller of an API over an engine with a database in this folder."""
    async with (
        open_backend(folder, **changes) as backend,
        calling(build_api(backend, block_seconds=block_seconds)) as caller,
    ):
        yield caller


@asynccontextmanager
async def open_held_api(
    folder: Path, *, block_seconds: float = 60
) -> AsyncGenerator[tuple[Caller, Provider]]:
    """A caller of an API whose personas are silent until the provider's gate is opened, and then say goodbye."""
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        slow = {"model_base_url": held.url, "persona_model": "openai:caller"}
        async with open_api(folder, block_seconds=block_seconds, **slow) as api:
            yield api, held


async def create_agent(api: Caller, **fields: Any) -> dict[str, Any]:
    draft = {"name": "Clinic", "system_prompt": "You are the receptionist of a clinic.", "tools": [BOOK]}
    return await api.post("/agents", draft | fields)


async def create_persona(api: Caller, **fields: Any) -> dict[str, Any]:
    draft = {
        "name": "Maya",
        "identity_prompt": "You are Maya, a nurse.",
        "behavior_traits": {"goal": "Book."},
    }
    return await api.post("/agent-eval/personas", draft | fields)


async def create_case(api: Caller, **fields: Any) -> dict[str, Any]:
    """A case, with an agent and a persona of its own where none are given."""
    agent_id = fields.pop("agent_id", None) or (await create_agent(api))["id"]
    persona_id = fields.pop("persona_id", None) or (await create_persona(api))["id"]
    draft = {"name": "Books", "agent_id": agent_id, "persona_id": persona_id, "scenario": "You want to book."}
    return await api.post("/agent-eval/cases", draft | fields)


async def create_suite(api: Caller, *, cases: int = 1, **fields: Any) -> dict[str, Any]:
    """A suite with some cases of one agent and one persona."""
    suite = await api.post("/agent-eval/suites", {"name": "Clinic"} | fields)
    agent_id, persona_id = (await create_agent(api))["id"], (await create_persona(api))["id"]
    for number in range(cases):
        await create_case(
            api, name=f"Case {number}", suite_id=suite["id"], agent_id=agent_id, persona_id=persona_id
        )
    return suite
