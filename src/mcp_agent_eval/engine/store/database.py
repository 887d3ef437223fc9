"""What the rest of the engine knows of a database: units of work that are read or written as a whole.

A unit of work is a plain function. It is handed a `Connection`, asks for queries by their names, and is
executed in the database's own thread: one hop for a whole transaction. What the queries are is in `sql/`;
how a dialect executes them is in `sqlite`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

QUEUE = "queue"
"""What is told when there may be runs to claim; all else that is told is the id of a run or suite run."""

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
        """Execute a statement that gives no rows; how many rows it touched."""
        ...

    def many(self, query: str, /, rows: Iterable[Row]) -> None:
        """Execute a statement once per row of parameters."""
        ...

    def now(self) -> datetime:
        """The time, in UTC, by the one clock that all who share the database go by."""
        ...

    def tell(self, *names: str) -> None:
        """Once this is committed, let every process that shares the database hear these names, where the
        database has a way to."""
        ...


Work = Callable[[Connection], T]


class Database(Protocol):
    """Units of work, whole or not at all. Anything that goes wrong with the database is a StoreError;
    what a unit of work raises itself comes out as it is, and undoes that unit alone."""

    async def read(self, work: Work[T]) -> T:
        """Execute on one consistent state; never waits for a write."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Execute and commit; it is on disk when this returns.

        Units of work never overlap, in whichever processes they are, and one may be tried again after it was
        undone. A caller that is cancelled while it waits leaves the write to happen.
        """
        ...

    async def write_own(self, work: Work[T]) -> T:
        """As `write`, for work that touches nothing but rows which the caller alone may write, such as those of
        a run that it has claimed. Where the database allows it, others write at the same time."""
        ...

    async def changes(self) -> int:
        """A number that differs from the last one when there may be something new to claim."""
        ...

    async def aclose(self) -> None:
        """Finish what was handed over, then let go of everything. A second call does nothing."""
        ...
