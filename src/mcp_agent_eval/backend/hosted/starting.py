"""Start calls of an API that returns no id until the run is over or a minute has passed.

The call stays open in the background while the run is looked for among the newest of its case. A call whose answer
was lost is never repeated: each one starts a run that costs money.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio
from anyio.abc import TaskGroup

from mcp_agent_eval.errors import EvalError, OutcomeUnknown
from mcp_agent_eval.types import Json, Run

Newest = Callable[[str], Awaitable[Sequence[Run]]]
Send = Callable[[str, Json], Awaitable[Run]]

_GROWTH = 1.5
_LONGEST = 5.0


class Starts:
    """Starts runs and finds their ids. `send` makes the call, `newest` lists the newest runs of a case."""

    def __init__(
        self, tasks: TaskGroup, send: Send, newest: Newest, *, first: float = 1.0, patience: float = 30.0
    ) -> None:
        self._tasks = tasks
        self._send = send
        self._newest = newest
        self._first = first
        self._patience = patience
        self._open: list[_Call] = []
        self._given: set[str] = set()

    async def start(self, case_id: str, overrides: Json) -> Run:
        """The run that this call starts, as soon as its id is known.

        Raises:
            OutcomeUnknown: it could not be found; it may have been started.
            EvalError: the API refused.
        """
        call = _Call(case_id, overrides, {run.id for run in await self._newest(case_id)})
        self._open.append(call)
        self._tasks.start_soon(self._carry_out, call)
        with anyio.move_on_after(self._patience):
            for pause in _growing(self._first):
                await call.wait(pause)
                if run := call.answer() or await self._found(call):
                    return run
        raise call.lost or _unheard(case_id)

    async def _carry_out(self, call: _Call) -> None:
        """Make the call and keep it open, whether or not anyone still waits for it."""
        try:
            call.run = await self._send(call.case_id, call.overrides)
            self._given.add(call.run.id)
        except OutcomeUnknown as exc:
            call.lost = exc
        except EvalError as exc:
            call.refused = exc
        finally:
            self._open.remove(call)
            call.answered.set()

    async def _found(self, call: _Call) -> Run | None:
        """The call's run among the newest, unless it cannot be distinguished from another client's."""
        fresh = [
            run for run in await self._newest(call.case_id) if call.may_be(run) and run.id not in self._given
        ]
        alike = [other for other in self._open if other.is_like(call)]
        if not fresh or len(fresh) > max(1, len(alike)):
            return None
        run = min(fresh, key=lambda run: run.created_at)
        self._given.add(run.id)
        return run


class _Call:
    """One start call: its request, the runs that existed before it, and its outcome."""

    def __init__(self, case_id: str, overrides: Json, before: set[str]) -> None:
        self.case_id = case_id
        self.overrides = overrides
        self.answered = anyio.Event()
        self.run: Run | None = None
        self.refused: EvalError | None = None
        self.lost: OutcomeUnknown | None = None
        self._before = before

    def answer(self) -> Run | None:
        """The run, if the call has returned it. Raises the API's refusal."""
        if self.refused:
            raise self.refused
        return self.run

    async def wait(self, seconds: float) -> None:
        """Wait for the answer, at most this long; for the whole time if the answer was lost."""
        if self.lost:
            await anyio.sleep(seconds)
        with anyio.move_on_after(seconds):
            await self.answered.wait()

    def may_be(self, run: Run) -> bool:
        """Whether a run could be this call's: it did not exist before, and has its overrides."""
        given = run.agent_overrides
        return run.id not in self._before and all(
            given.get(name) == value for name, value in self.overrides.items()
        )

    def is_like(self, other: _Call) -> bool:
        """Whether both calls ask for the same, so that it does not matter which run is whose."""
        return (self.case_id, self.overrides) == (other.case_id, other.overrides)


def _growing(seconds: float) -> Iterator[float]:
    while True:
        yield seconds
        seconds = min(seconds * _GROWTH, _LONGEST)


def _unheard(case_id: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "The run was requested, but the API has not returned its id yet.",
        hint=f'list_runs(case_id="{case_id}") will show it soon. Do not start it again.',
    )
