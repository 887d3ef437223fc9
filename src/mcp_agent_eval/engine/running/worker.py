"""Claims runs, executes each in its own task, holds their leases, and gives them back when it stops."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from mcp_agent_eval.background import background_tasks
from mcp_agent_eval.engine.running.execution import execute
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.store import claims, queue
from mcp_agent_eval.engine.store.database import QUEUE, Connection
from mcp_agent_eval.engine.store.migrate import is_current
from mcp_agent_eval.engine.store.queue import Claim
from mcp_agent_eval.errors import StoreError, StoreTooNew

logger = logging.getLogger(__name__)

LEASE = queue.LEASE.total_seconds()
"""Seconds for which a worker keeps a run without renewing its lease."""

_IDLE = 1.0
_MOST_ATTEMPTS = 3

_OVERDUE = ". The run waited for it until its deadline, which AGENT_EVAL_RUN_DEADLINE sets."


class Worker:
    """Works until its block exits, and looks for runs whenever `QUEUE` rings."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._name = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._running: set[str] = set()
        self._left: set[str] = set()
        self.outdated = anyio.Event()
        self._seen: int | None = None
        self._reaped: datetime | None = None
        self._is_troubled = False

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """Claim and execute runs until the block exits; unfinished ones then go back to the queue."""
        try:
            async with background_tasks() as tasks:
                tasks.start_soon(self._claim_forever, tasks)
                tasks.start_soon(self._hold_leases)
                yield
                await self._leave()
        finally:
            with anyio.CancelScope(shield=True):
                await self._give_back()

    async def _claim_forever(self, tasks: TaskGroup) -> None:
        while True:
            # Bell and count come first, so that later changes are noticed in the next round.
            bell = self._workshop.signals.event(QUEUE)
            try:
                changes = await self._workshop.database.changes()
                if changes != self._seen or await self._may_try_again():
                    self._seen = changes
                    await self._claim(tasks)
                self._is_troubled = False
            except StoreTooNew:
                logger.exception("a newer version now uses this database: no more runs are claimed here")
                self.outdated.set()
                return
            except StoreError as exc:
                self._seen = None
                if not self._is_troubled:
                    logger.warning("no runs can be claimed at the moment: %s", exc.message)
                self._is_troubled = True
            with anyio.move_on_after(_IDLE):
                await bell.wait()

    async def _may_try_again(self) -> bool:
        """Whether a run waits although nothing has changed: for a pause that is now over."""
        if not self._workshop.lanes.are_recovering():
            return False
        return await self._workshop.database.read(queue.is_anything_pending)

    def _look(self) -> None:
        """Look for runs at once, even if the database has not changed: there is room again, or a lease has run out."""
        self._seen = None
        self._workshop.signals.hear(QUEUE)

    async def _claim(self, tasks: TaskGroup) -> None:
        room = self._workshop.settings.max_concurrency - len(self._running) - len(self._left)
        if room > 0 and not self._workshop.leaving.is_set():
            for claim in await self._workshop.database.write(lambda connection: self._take(connection, room)):
                self._running.add(claim.run_id)
                tasks.start_soon(self._execute, claim)
        await self._workshop.lanes.refresh()

    async def _execute(self, claim: Claim) -> None:
        try:
            await execute(self._workshop, claim)
        except StoreError:
            # Not the run's fault. It goes back to the queue after a while, since an immediate retry may well fail in
            # the same way.
            logger.exception("run %s goes back to the queue: the database failed", claim.run_id)
            self._left.add(claim.run_id)
        except Exception:
            # The other runs go on. This lease is no longer renewed: another worker takes the run over, or it is given
            # up.
            logger.exception("run %s is left until its lease runs out", claim.run_id)
        finally:
            self._running.discard(claim.run_id)
            self._look()

    async def _hold_leases(self) -> None:
        """Renew our leases, and reap runs whose workers have silently stopped."""
        while True:
            try:
                # In the same thread as these runs' turns: otherwise the two would wait for each other.
                await self._workshop.database.write_own(self._renew)
                await self._workshop.database.write(self._reap)
                await self._put_back()
            except StoreError:
                logger.exception("leases could not be renewed")
            self._look()
            await anyio.sleep(LEASE / 3)

    def _take(self, connection: Connection, room: int) -> list[Claim]:
        is_current(connection)
        models, at = self._workshop.models, connection.now()
        return claims.claim(
            connection,
            self._name,
            now=at,
            lease_until=at + _lease(),
            room=room,
            offers=models.reaches,
            limit=models.limit,
        )

    def _renew(self, connection: Connection) -> None:
        queue.renew(connection, self._name, connection.now() + _lease(), self._running | self._left)

    def _reap(self, connection: Connection) -> None:
        at = connection.now()
        # When a laptop wakes up or its clock is set, every lease has run out: let the others renew theirs first.
        if self._reaped is None or timedelta() <= at - self._reaped < _lease():
            queue.reap(connection, at, _MOST_ATTEMPTS, _lease())
            longest = timedelta(seconds=self._workshop.settings.run_deadline)
            queue.fail_overdue(connection, at, longest, _OVERDUE)
        self._reaped = at

    async def _put_back(self) -> None:
        if left := frozenset(self._left):
            await self._workshop.database.write(
                lambda connection: queue.give_back(connection, self._name, left)
            )
            self._left -= left

    async def _leave(self) -> None:
        """Wait briefly for calls in progress to finish, so that their answers are stored."""
        self._workshop.leaving.set()
        with anyio.move_on_after(self._workshop.settings.grace_seconds):
            while True:
                bell = self._workshop.signals.event(QUEUE)
                if not self._running:
                    return
                await bell.wait()

    async def _give_back(self) -> None:
        try:
            await self._workshop.database.write(
                lambda connection: queue.release(connection, self._name, connection.now())
            )
        except StoreError:
            logger.exception("leases could not be given back; they will run out")


def _lease() -> timedelta:
    return timedelta(seconds=LEASE)
