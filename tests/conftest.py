"""Fixtures for every test: one backend for async tests, and an environment without anybody's keys."""

from __future__ import annotations

import os

import pytest

from tests.postgres import database_url, postgres, postgres_url

__all__ = ["database_url", "postgres", "postgres_url"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach a real provider because a developer's key is set."""
    for name in list(os.environ):
        if name.startswith(("AGENT_EVAL_", "OPENAI_", "ANTHROPIC_", "OTEL_")):
            monkeypatch.delenv(name)
