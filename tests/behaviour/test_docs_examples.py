"""What the docs show works as it stands: agents, tools and a whole file of evals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.lab.packs.files import Source, read_pack
from mcp_agent_eval.lab.packs.loading import load
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json, Kind

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def nouns() -> list[tuple[Kind, Json]]:
    """The agents and tools that agents.md writes out; other blocks are requests and answers."""
    found: list[tuple[Kind, Json]] = []
    for block in blocks("agents.md", "json"):
        body = json.loads(block)
        if body.get("type") in ("prompt", "flow", "endpoint"):
            found.append(("agent", body))
        elif body.get("type") in ("function", "webhook", "system"):
            found.append(("tool", body))
    return found


def test_agents_md_shows_every_type_of_agent_and_a_tool() -> None:
    shown = {(kind, body["type"]) for kind, body in nouns()}
    assert shown >= {("agent", "flow"), ("agent", "endpoint"), ("tool", "webhook")}


@pytest.mark.parametrize(("kind", "body"), nouns(), ids=lambda value: str(value)[:30])
async def test_what_agents_md_shows_can_be_created(settings: Settings, kind: Kind, body: Json) -> None:
    async with connect(settings) as link:
        assert (await link.backend.create(kind, body)).name == body["name"]


async def test_the_file_that_files_md_shows_can_be_loaded(settings: Settings) -> None:
    async with connect(settings) as link:
        loaded = await load(
            link.backend, read_pack([Source("example.yaml", blocks("files.md", "yaml")[0].encode())])
        )
        assert {outcome.action for outcome in loaded.outcomes} == {"created"}
