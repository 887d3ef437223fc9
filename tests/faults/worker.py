"""A worker process whose constants the harness may choose: `python -m tests.faults.worker`.

Its settings are in the environment. It says `ready` when it works, sets its clock forward by as many seconds as a
line of standard input says, and closes when there is no more input.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from datetime import datetime, timedelta, tzinfo
from typing import Any

import anyio
import anyio.to_thread

from mcp_agent_eval.backend.embedded import open_embedded
from mcp_agent_eval.engine.limits import lanes
from mcp_agent_eval.engine.running import worker
from mcp_agent_eval.engine.store import claims
from mcp_agent_eval.engine.store.queue import Claim
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import base


class Clock(datetime):
    """The clock that the engine reads, which somebody may have set wrong."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + cls.ahead


async def obey() -> None:
    """Set the clock as told, until there is no more input."""
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        Clock.ahead = timedelta(seconds=float(line))
        print("set", flush=True)


def stop_in_claim() -> None:
    """Stand still, as by SIGSTOP, in the transaction of the first claim."""
    claim = claims.claim

    def claim_and_stop(*arguments: Any, **named: Any) -> list[Claim]:
        claims.claim = claim
        claimed = claim(*arguments, **named)
        os.kill(os.getpid(), signal.SIGSTOP)
        return claimed

    claims.claim = claim_and_stop


async def work(options: argparse.Namespace) -> None:
    """Claim and execute runs."""
    worker.LEASE = options.lease
    worker._MOST_ATTEMPTS = options.attempts
    lanes._FIRST_PAUSE = options.pause
    base.datetime = Clock
    Clock.ahead = timedelta(seconds=options.ahead)
    if options.stops_in_claim:
        stop_in_claim()
    async with open_embedded(Settings.read()):
        print("ready", flush=True)
        await obey()


def main() -> None:
    """Work until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lease", type=float, default=worker.LEASE)
    parser.add_argument("--attempts", type=int, default=worker._MOST_ATTEMPTS)
    parser.add_argument("--pause", type=float, default=lanes._FIRST_PAUSE)
    parser.add_argument("--ahead", type=float, default=0.0)
    parser.add_argument("--stops-in-claim", type=int, default=0)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("mcp_agent_eval").setLevel(logging.INFO)
    anyio.run(work, parser.parse_args())


if __name__ == "__main__":
    main()
