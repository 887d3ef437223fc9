"""What the rest of the engine knows about a database: units of work that are read or written as a whole.

A unit of work is a plain function. It is given a `Connection`, asks for queries by name, and runs in the database's
own thread: one hop for a whole transaction. The queries are in `sql/`; how each dialect executes them is only in
`sqlite` and `postgres`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

QUEUE = "queue"
"""The name announced when there may be runs to claim; all other names are ids of runs or suite runs."""

Row = Mapping[str, Any]
"""One row, by column name."""


class Connection(Protocol):
    """Executes named queries inside one transaction. A parameter that is a list stands for its members."""

    def all(self, query: str, /, **parameters: Any) -> list[Row]:
        """Every row."""
        ...

    def one(self, query: str, /, **parameters: Any) -> Row | None:
        """The first row, or None."""
        ...

    def run(self, query: str, /, **parameters: Any) -> int:
        """Execute a statement without results; return how many rows it affected."""
        ...

    def many(self, query: str, /, rows: Iterable[Row]) -> None:
        """Execute a statement once per row of parameters."""
        ...

    def now(self) -> datetime:
        """The time in UTC, by the one clock that all processes sharing the database use."""
        ...

    def tell(self, *names: str) -> None:
        """After the commit, announce these names to every process that shares the database, if the database can."""
        ...


Work = Callable[[Connection], T]


class Database(Protocol):
    """Units of work, all or nothing. Any problem with the database is a StoreError; an exception from a unit of
    work is raised unchanged, and undoes only that unit."""

    async def read(self, work: Work[T]) -> T:
        """Execute on one consistent state; never waits for a write."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Execute and commit; it is on disk when this returns.

        Units of work never overlap, not even across processes, and one may be retried after it was undone. If the
        caller is cancelled while waiting, the write still happens.
        """
        ...

    async def write_own(self, work: Work[T]) -> T:
        """Like `write`, for work that only touches rows which no one but the caller may write, such as those of a
        run that it has claimed. If the database allows it, others write at the same time."""
        ...

    async def changes(self) -> int:
        """A number that changes when there may be something new to claim."""
        ...

    async def aclose(self) -> None:
        """Finish the work handed over, then release everything. A second call does nothing."""
        ...
