"""Runs executed by an API: started once, polled sparingly, read in any known shape."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from anyio.abc import TaskGroup

from mcp_agent_eval.backend.hosted import reading
from mcp_agent_eval.backend.hosted.client import ApiClient
from mcp_agent_eval.backend.hosted.finding import PAGE, Entry, everything, is_id, pick
from mcp_agent_eval.backend.hosted.judging import LocalJudge
from mcp_agent_eval.backend.hosted.nouns import Nouns
from mcp_agent_eval.backend.hosted.server import Server
from mcp_agent_eval.backend.hosted.starting import Starts
from mcp_agent_eval.backend.hosted.watching import FIRST, Watches
from mcp_agent_eval.engine.records.references import nothing
from mcp_agent_eval.engine.running.signals import Signals
from mcp_agent_eval.errors import ApiError, InvalidInput, NotFound, NotSupported, RateLimited, RunFinished
from mcp_agent_eval.types import Case, Json, ModelCall, Page, Run, RunFilter, Turn
from mcp_agent_eval.validation import key_of_another

_RUNS = "/agent-eval/runs"
_BLOCKS = 75.0
"""Seconds after which a start call, which may block for a minute, is given up."""
_NEWEST = 20
_MARGIN = 10
_KEPT = 2000


class Runs:
    """Executions of cases by an API."""

    def __init__(
        self,
        client: ApiClient,
        server: Server,
        nouns: Nouns,
        judge: LocalJudge,
        signals: Signals,
        tasks: TaskGroup,
        *,
        first: float = FIRST,
    ) -> None:
        self._client = client
        self._server = server
        self._nouns = nouns
        self._judge = judge
        self._signals = signals
        self._starts = Starts(tasks, self._start_and_block, self._newest, first=2 * first)
        self._watches = Watches(self._look, self._ring, first=first)
        self._cases: dict[str, Case | None] = {}
        self._keys: dict[str, tuple[str, str]] = {}

    async def start(self, case_id: str, overrides: Json | None, key: str | None) -> Run:
        """Start a run of a case and return it as soon as it has an id."""
        if not is_id(case_id):
            raise nothing("case", case_id)
        if await self._server.has("respond_async"):
            return await self._start_at_once(case_id, overrides, key or str(uuid4()))
        if key and key in self._keys:
            return await self._started_before(key, case_id)
        run = await self._starts.start(case_id, overrides or {})
        if key:
            self._keys[key] = (case_id, run.id)
        return await self._whole(run) if run.is_final else run

    async def get(self, id: str) -> Run:
        """One complete run."""
        return await self._whole(reading.run(await self._row(id)))

    async def page(self, filter: RunFilter) -> Page[Run]:
        """A page of runs, newest first, each with its case."""
        answer = await self._client.get(_RUNS, filter.model_dump())
        found = await self.expanded([reading.run(row) for row in reading.rows_of(answer)])
        return reading.page(found, answer, limit=filter.limit, offset=filter.offset)

    async def turns(self, run_id: str, start: int, limit: int) -> list[Turn]:
        """A transcript, starting at a turn."""
        turns = [reading.turn(row) for row in reading.rows_of(await self._row(run_id, "/turns"))]
        return [turn for turn in turns if turn.turn_number >= start][:limit]

    async def calls(self, run_id: str, start: int, limit: int) -> list[ModelCall]:
        """Model calls, if the server shows them."""
        if not await self._server.has("model_calls"):
            raise NotSupported(
                "The hosted API does not show what its models were sent.",
                hint='read_transcript with view="turns" shows what was said and called.',
            )
        answer = await self._row(run_id, "/calls", start=start, limit=limit)
        return [reading.call(row) for row in reading.rows_of(answer)]

    async def cancel(self, run_id: str) -> Run:
        """Stop a run; one that is over is refused with 400 by some servers and with 409 by others."""
        if not is_id(run_id):
            raise nothing("run", run_id)
        try:
            row = await self._client.send("POST", f"{_RUNS}/{run_id}/cancel", repeatable=True)
        except InvalidInput as exc:
            raise RunFinished(exc.message, hint=f'get_run(run_id="{run_id}") shows its outcome.') from None
        except NotFound:
            raise nothing("run", run_id) from None
        run = await self._expanded(reading.run(row if "status" in row else await self._row(run_id)))
        self._watches.tell(run_id, _bare(run))
        return run

    async def wait(self, id: str, seconds: float) -> Run:
        """The run once it is final or has moved on, or as it is after `seconds`; without its case until then."""
        run = await self._watches.wait(id, seconds)
        return await self.get(id) if run.is_final else run

    async def find(self, reference: str) -> str:
        """The id for an id or a prefix, among the newest runs."""
        if is_id(reference):
            return reading.run(await self._row(reference.lower())).id
        return pick("run", reference, [(run.id, "") for run in await self.newest_of_all()])

    async def newest_of_all(self) -> list[Run]:
        """As many of the newest runs as a search looks through."""
        found: list[Run] = []

        async def page(offset: int) -> tuple[Sequence[Entry], bool]:
            part = await self._listed(limit=PAGE, offset=offset)
            found.extend(part)
            return [], len(part) == PAGE

        await everything(page)
        return found

    async def expanded(self, runs: Sequence[Run]) -> list[Run]:
        """Runs with their cases: each case that rows leave out is read once. If one cannot be read, its runs and
        all later ones come without a case, since the list matters more."""
        read: dict[str, Case | None] = {}
        with suppress(ApiError, RateLimited):
            for run in runs:
                await self._read_case(run, read)
        return [self._with_case(run) for run in runs]

    async def _start_at_once(self, case_id: str, overrides: Json | None, key: str) -> Run:
        headers = {"Prefer": "respond-async", "Idempotency-Key": key}
        path, body = f"/agent-eval/cases/{case_id}/run", {"agent_overrides": overrides or {}}
        safe = await self._server.has("idempotency_key")
        row = await self._client.send("POST", path, body=body, headers=headers, repeatable=safe)
        return reading.run(row)

    async def _start_and_block(self, case_id: str, overrides: Json) -> Run:
        path, body = f"/agent-eval/cases/{case_id}/run", {"agent_overrides": overrides}
        return reading.run(
            await self._client.send("POST", path, body=body, repeatable=False, seconds=_BLOCKS)
        )

    async def _started_before(self, key: str, case_id: str) -> Run:
        """What a key started, as far as this process remembers: the API cannot store keys."""
        started_case, run_id = self._keys[key]
        if started_case != case_id:
            raise key_of_another("case")
        return await self.get(run_id)

    async def _newest(self, case_id: str) -> list[Run]:
        return await self._listed(case_id=case_id, limit=_NEWEST)

    async def _listed(self, *, background: bool = False, **params: object) -> list[Run]:
        answer = await self._client.get(_RUNS, params, background=background)
        return [reading.run(row) for row in reading.rows_of(answer)]

    async def _row(self, id: str, part: str = "", *, background: bool = False, **params: object) -> Json:
        """The resource at a run's address. Raises NotFound in our words."""
        if not is_id(id):
            raise nothing("run", id)
        try:
            return await self._client.get(f"{_RUNS}/{id}{part}", params, background=background)
        except NotFound:
            raise nothing("run", id) from None

    async def _look(self, id: str) -> Run:
        """Poll a run. When several are waited for, one list answers for all that it contains."""
        others = [other for other in self._watches.waited_for if other != id]
        if others:
            newest = await self._listed(limit=min(PAGE, 2 * len(others) + _MARGIN), background=True)
            seen = {run.id: _bare(run) for run in newest}
            for other in others:
                if other in seen:
                    self._watches.tell(other, seen[other])
            if id in seen:
                return seen[id]
        return _bare(reading.run(await self._row(id, background=True)))

    async def _whole(self, run: Run) -> Run:
        """The run completed with what its row may lack: its case, its evaluation, the verdicts that a stub left
        open."""
        run = await self._evaluated(await self._expanded(run))
        return await self._judge.judged(run, lambda: self.turns(run.id, 0, 10_000))

    async def _expanded(self, run: Run) -> Run:
        await self._read_case(run, {})
        return self._with_case(run)

    async def _read_case(self, run: Run, read: dict[str, Case | None]) -> None:
        """Remember the case of a run that comes without one, as of when the run is first seen: it may change later.
        `read` holds the cases already read by the same call."""
        if run.case is not None or run.case_id is None or run.id in self._cases:
            return
        if run.case_id not in read:
            read[run.case_id] = await self._case(run.case_id)
        while len(self._cases) >= _KEPT:
            del self._cases[next(iter(self._cases))]
        self._cases[run.id] = read[run.case_id]

    def _with_case(self, run: Run) -> Run:
        return run if run.case else run.model_copy(update={"case": self._cases.get(run.id)})

    async def _case(self, id: str) -> Case | None:
        try:
            found = await self._nouns.get("case", id)
        except NotFound:
            return None
        return found if isinstance(found, Case) else None

    async def _evaluated(self, run: Run) -> Run:
        if not run.is_final or run.evaluation is not None or run.status == "cancelled":
            return run
        try:
            evaluation = reading.evaluation(await self._row(run.id, "/evaluation"))
        except InvalidInput:
            return run
        return run.model_copy(update={"evaluation": evaluation})

    def _ring(self, run: Run) -> None:
        self._signals.ring(run.id, run.suite_run_id)


def _bare(run: Run) -> Run:
    """A run for comparison, without its case: whether that is included depends on where the run was read."""
    return run.model_copy(update={"case": None})
