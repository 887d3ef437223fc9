"""The published document against the API that publishes it: examples, coverage, fuzzing and chains of calls."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import schemathesis
from schemathesis import hooks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.python import asgi
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agent_eval.api.access import Access
from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.api.limits import RateLimit
from tests.contract.rest_support import open_backend

KEY = "the-key-of-this-test"
CONFIG = {
    "seed": 20261121,
    "continue-on-failure": True,
    "auth": {"openapi": {"bearer": {"bearer": KEY}}},
    "generation": {"max-examples": 5, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"generation": {"max-examples": 12, "deterministic": True}}},
    # What only the nouns together can say is in no schema: which regular expressions compile, that a suite
    # needs a case to run, that a run which is over cannot be cancelled. Refusing these is right.
    "checks": {"positive_data_acceptance": {"enabled": False}},
    # At `/` only GET is open to everybody: without a key, every other method is refused before it is looked at.
    "operations": [{"include-path": "/", "checks": {"unsupported_method": {"enabled": False}}}],
}


class Served:
    """The API behind its door, opened in the event loop that schemathesis sends its requests from."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_backend(Path(folder)) as backend:
                limit = RateLimit(1_000_000)
                self._app = Access(build_api(backend), keyring=None, token=KEY, limit=limit)
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
        await send({"type": "lifespan.shutdown.complete"})


@dataclass
class Findings:
    """What came of a run of the engine."""

    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    phases: set[str] = field(default_factory=set)

    def take(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.errors.append(repr(event))
        if isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        if event.recorder.interactions:
            self.phases.add(event.phase.value)
        for id, interaction in event.recorder.interactions.items():
            if interaction.response is not None:
                operation = event.recorder.cases[id].value.operation.label
                self.answers[operation, interaction.response.status_code] += 1
        for checks in event.recorder.checks.values():
            self.failures += [
                f"{event.phase.value} {check.name} {check.failure_info.failure.operation}: "
                f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"
                for check in checks
                if check.failure_info is not None
            ]


def _forget_idempotency_keys(_: object, case: schemathesis.Case, __: object) -> None:
    """A repeated key is answered with what it made, whatever the new body is: the fuzzer would call that lax."""
    case.headers.pop("Idempotency-Key", None)
    if isinstance(case.body, dict):
        case.body.pop("idempotency_key", None)


@pytest.fixture(scope="module")
def findings() -> Iterator[Findings]:
    found = Findings()
    schemathesis.hook("before_call")(_forget_idempotency_keys)
    try:
        config = SchemathesisConfig.from_dict(CONFIG)
        schema = schemathesis.openapi.from_asgi("/openapi.json", app=Served(), config=config)
        for event in from_schema(schema).execute():
            found.take(event)
        yield found
    finally:
        hooks.unregister_all()
        asgi.shutdown_lifespans()


def test_the_api_keeps_every_promise_of_its_document(findings: Findings) -> None:
    assert not findings.errors
    assert not findings.failures, "\n\n".join(findings.failures[:10])


def test_the_fuzzer_came_past_the_door(findings: Findings) -> None:
    for kind in ("/agents", "/tools", "/agent-eval/personas", "/agent-eval/suites"):
        assert findings.answers[f"POST {kind}", 201], kind
    assert {"examples", "coverage", "fuzzing", "stateful"} <= findings.phases
    assert findings.answers["GET /agent-eval/personas/{id}", 200], "no chain from a creation to what it made"


def test_no_request_was_answered_with_a_server_error(findings: Findings) -> None:
    assert not [answered for answered in findings.answers if answered[1] >= 500]
