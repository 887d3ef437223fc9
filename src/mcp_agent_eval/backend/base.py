"""The seam: anything that evaluates agents, an engine in this process or an API over HTTP, implements these verbs.

The surfaces (MCP tools, REST, the command line) use nothing else. Every verb raises errors from
`mcp_agent_eval.errors`, and none of them loses a run when its caller goes away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from mcp_agent_eval.types import (
    Capabilities,
    Json,
    Kind,
    ModelCall,
    Page,
    Run,
    RunFilter,
    StartedSuiteRun,
    SuiteRun,
    Turn,
)
from mcp_agent_eval.types.nouns import Noun

Reference = Literal["agent", "persona", "tool", "case", "suite", "run", "suite_run"]


class Backend(Protocol):
    """Everything that a surface may ask for."""

    async def capabilities(self) -> Capabilities:
        """What this backend is and what it can do beyond the contract."""
        ...

    async def create(self, kind: Kind, draft: Json, *, idempotency_key: str | None = None) -> Noun:
        """Store a new noun. A case is returned with its agent and persona expanded. A key that was already used for
        this kind returns the noun that it created.

        Raises:
            InvalidInput: a field does not fit, or the case could never work with its agent.
            NotFound: something it refers to does not exist.
            NotSupported: nouns of this kind are created elsewhere.
        """
        ...

    async def get(self, kind: Kind, id: str) -> Noun:
        """One noun by its full id. Raises NotFound."""
        ...

    async def list(
        self, kind: Kind, *, limit: int = 20, offset: int = 0, **filters: str | None
    ) -> Page[Noun]:
        """A page: personas by name, everything else newest first. Cases take `agent_id`, `persona_id`
        and `suite_id` as filters."""
        ...

    async def update(self, kind: Kind, id: str, changes: Json) -> Noun:
        """Replace the given fields as a whole. Raises InvalidInput, NotFound."""
        ...

    async def delete(self, kind: Kind, id: str) -> None:
        """Delete a noun; its runs stay readable. Raises NotFound, also when it was already deleted."""
        ...

    async def find(self, kind: Reference, reference: str) -> str:
        """The id for an id, a name or an unambiguous id prefix.

        Raises:
            NotFound: nothing matches; the hint says how to see what exists.
            AmbiguousReference: more than one thing matches; the message names them.
        """
        ...

    async def start_run(
        self, case_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> Run:
        """Queue one execution of a case and return at once. A key that was already used returns the run that it
        started. Raises NotFound, InvalidInput, NotConfigured."""
        ...

    async def start_suite_run(
        self, suite_id: str, *, agent_overrides: Json | None = None, idempotency_key: str | None = None
    ) -> StartedSuiteRun:
        """Queue one execution of every case of a suite. Raises like `start_run`, and InvalidInput for a suite
        without cases."""
        ...

    async def simulate_flow(
        self,
        agent_id: str,
        *,
        transcript: Sequence[Json],
        mock_tool_results: Json | None = None,
        flow_config: Json | None = None,
    ) -> Json:
        """Walk an agent's flow, or another flow in its place, by what a caller says, without any model:
        `{trace, named_results, slot_values, ended_at_step_id}`. Raises NotFound, InvalidInput."""
        ...

    async def run(self, id: str) -> Run:
        """One run, with its case expanded. Raises NotFound."""
        ...

    async def runs(self, filter: RunFilter) -> Page[Run]:
        """A page of runs, newest first, each with its case expanded."""
        ...

    async def turns(self, run_id: str, *, start: int = 0, limit: int = 1000) -> list[Turn]:
        """The transcript so far, starting at turn number `start`. Raises NotFound."""
        ...

    async def calls(self, run_id: str, *, start: int = 0, limit: int = 20) -> list[ModelCall]:
        """What was sent to the models and what came back, in order. Raises NotFound, NotSupported."""
        ...

    async def cancel(self, run_id: str) -> Run:
        """Stop a run at its next turn; a waiting one is cancelled at once.

        Raises:
            RunFinished: it is already over.
        """
        ...

    async def suite_run(self, id: str, *, with_runs: bool = True) -> SuiteRun:
        """The aggregate of a suite run. Raises NotFound."""
        ...

    async def suite_runs(self, suite_id: str) -> list[SuiteRun]:
        """The aggregates of a suite, newest first, without their runs. Raises NotFound."""
        ...

    def moved_runs(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Within the block, yield the ids of runs as they move on: at least of those that this backend executes
        itself."""
        ...

    async def wait_run(self, id: str, seconds: float) -> Run:
        """The run as soon as it is final or has moved on, or as it is after `seconds`."""
        ...

    async def wait_suite_run(self, id: str, seconds: float) -> SuiteRun:
        """The aggregate, without runs, as soon as it is final or has moved on, or after `seconds`."""
        ...
