"""A model that takes its time: a persona that speaks a few times, and lets others wait before each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tests.outside.place import Json
from tests.provider import provider


@asynccontextmanager
async def slow_persona(seconds: float, times: int = 3) -> AsyncIterator[dict[str, str]]:
    """The settings by which a run takes about that long, in so many equal parts."""

    async def speak(body: Json) -> str:
        await anyio.sleep(seconds / times)
        spoken = sum(message["role"] == "assistant" for message in body["messages"])
        return f"This is remark {spoken}." if spoken < times - 1 else "Goodbye. [END OF CALL]"

    async with provider(speak) as model:
        yield {"persona_model": "openai:slow", "model_base_url": model.url}
