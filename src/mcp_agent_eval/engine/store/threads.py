"""A thread that owns a resource and executes work from asyncio in batches.

It knows nothing about databases. A batch is whatever queued up during the previous one, so a busy thread makes
large batches and an idle one answers at once. One call into the loop answers a whole batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, Protocol, TypeVar

import anyio

T = TypeVar("T")
Outcome = tuple[Any, BaseException | None]


class Closable(Protocol):
    """What a thread may own."""

    def close(self) -> None:
        """Release it."""
        ...


R = TypeVar("R", bound=Closable)


class OwnerThread(Generic[R]):
    """The owning thread, in which `open` and `perform` are called. `perform` returns one outcome, a value or an
    error, for each unit of work in its batch, and never raises."""

    def __init__(
        self,
        name: str,
        *,
        open: Callable[[], R],
        perform: Callable[[R, Sequence[Callable[[R], Any]]], list[Outcome]],
        batch: int = 1,
    ) -> None:
        self._open = open
        self._perform = perform
        self._batch = batch
        self._jobs: SimpleQueue[tuple[Callable[[R], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a program that forgot to close must still be able to exit.
        self._thread = Thread(target=self._main, name=name, daemon=True)

    async def start(self) -> None:
        """Start the thread and wait for `open`. Raises what `open` raises."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            await self.aclose()
            raise

    def submit(self, work: Callable[[R], T]) -> asyncio.Future[T]:
        """Have `work` executed. Cancelling the future does not prevent that."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, answer))
        return answer

    async def aclose(self) -> None:
        """Execute what was submitted, then end the thread. Nothing more may be submitted."""
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._ended])
        self._thread.join()

    def _main(self) -> None:
        try:
            resource = self._open()
        except BaseException as exc:
            self._answer([self._opened], [(None, exc)])
        else:
            self._answer([self._opened], [(None, None)])
            with closing(resource):
                self._serve(resource)
        finally:
            self._answer([self._ended], [(None, None)])

    def _serve(self, resource: R) -> None:
        while jobs := self._next_batch():
            works, answers = zip(*jobs, strict=True)
            self._answer(answers, self._perform(resource, works))

    def _next_batch(self) -> list[tuple[Callable[[R], Any], asyncio.Future[Any]]]:
        """The waiting jobs, at least one; empty when the thread should end."""
        job = self._jobs.get()
        batch = [job] if job else []
        with suppress(Empty):
            while job and len(batch) < self._batch:
                job = self._jobs.get_nowait()
                batch += [job] if job else []
        if job is None and batch:
            self._jobs.put(None)
        return batch

    def _answer(self, answers: Sequence[asyncio.Future[Any]], outcomes: Sequence[Outcome]) -> None:
        with suppress(RuntimeError):  # the loop is closed: no one is waiting
            self._loop.call_soon_threadsafe(_settle, answers, outcomes)


def _settle(answers: Sequence[asyncio.Future[Any]], outcomes: Sequence[Outcome]) -> None:
    for answer, (value, error) in zip(answers, outcomes, strict=True):
        if answer.done():
            continue
        if error is None:
            answer.set_result(value)
        elif isinstance(
            error, StopIteration
        ):  # a future does not accept it, and a coroutine may not raise it
            answer.set_exception(RuntimeError(f"a unit of work raised {error!r}"))
        else:
            answer.set_exception(error)
