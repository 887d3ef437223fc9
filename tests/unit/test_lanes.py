"""How long a lane rests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcp_agent_eval.engine.limits.lanes import Lanes
from mcp_agent_eval.engine.store import lanes
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.lanes import LaneState
from mcp_agent_eval.errors import ModelError
from mcp_agent_eval.types import now
from tests.contract import store_support as support

database = support.database
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LANE = "openai@here model"


async def rests(database: Database, pauses: int, retry_after: float | None) -> float:
    """For how many seconds a lane is closed that was paused so often before, and is refused once more."""

    def remember(connection: Connection) -> None:
        for _ in range(pauses):
            lanes.pause(connection, LANE, now=now(), until=LONG_AGO, reason="")

    await database.write(remember)
    known = Lanes(database)
    await known.refresh()
    await known.refused(LANE, ModelError("Refused.", kind="rate_limit", retry_after=retry_after))
    return known.seconds_closed(LANE)


@pytest.mark.parametrize(
    ("pauses", "retry_after", "expected"),
    [
        (0, 30.0, 30),
        (0, 3600.0, 300),
        (0, None, 2),
        (3, None, 16),
        (30, None, 300),
        (5, 0.0, 0.64),
        (5, 30.0, 30),
    ],
)
async def test_a_lane_rests_as_long_as_is_asked_for_and_longer_each_time_where_nothing_is(
    database: Database, pauses: int, retry_after: float | None, expected: float
) -> None:
    assert await rests(database, pauses, retry_after) == pytest.approx(expected, abs=0.3)


async def test_an_answer_to_a_call_from_before_a_pause_does_not_end_it(database: Database) -> None:
    known = Lanes(database)
    await known.refused(LANE, ModelError("Refused.", kind="rate_limit", retry_after=30))
    await known.answered(LANE)
    await known.refresh()
    assert known.seconds_closed(LANE) > 25
    assert (await database.read(lanes.all))[LANE].pauses == 1


async def test_what_was_read_before_a_pause_does_not_open_the_lane(database: Database) -> None:
    """A worker reads all lanes whenever it looks for runs, at the moment that a call is refused, too."""
    told = Lanes(database)

    class Late:
        """A database whose answer comes after a lane was paused."""

        async def read(self, work: object) -> tuple[dict[str, LaneState], object]:
            await told.refused(LANE, ModelError("Refused.", kind="rate_limit", retry_after=30))
            return {}, now()

        def __getattr__(self, name: str) -> object:
            return getattr(database, name)

    told._database = Late()  # type: ignore[assignment]
    await told.refresh()
    assert told.seconds_closed(LANE) > 25
