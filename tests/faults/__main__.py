"""The whole harness: `python -m tests.faults --database sqlite|postgres [--runs 400] [--kills 200] [--only WORDS]`.

Prints what every scenario came to; the exit status is 1 where anything was not as it has to be. PostgreSQL is a
server of our own, started from this machine's binaries.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tests.faults import scenarios
from tests.faults.databases import durable_database
from tests.faults.report import Report
from tests.postgres import Server, own_server

Scenario = Callable[[str, Path], Coroutine[Any, Any, Report]]


def on_both(runs: int, kills: int) -> dict[str, Scenario]:
    """What every database has to bear, by name."""
    return {
        "kills": partial(scenarios.killed, runs=runs, kills=kills, outages=2),
        "acting": partial(scenarios.acting, runs=runs // 4, kills=kills // 4),
        "given up": scenarios.given_up,
        "stopped": scenarios.stopped,
        "stopped in a transaction": scenarios.stopped_in_a_transaction,
        "jumping clocks": scenarios.jumping_clocks,
        "provider down": scenarios.down,
        "versions": scenarios.two_versions,
    }


def on_sqlite() -> dict[str, Scenario]:
    """What becomes of a file."""
    return {"full disk": scenarios.full_disk}


def on_postgres(server: Server) -> dict[str, Scenario]:
    """What becomes of a server."""
    return {
        "different clocks": scenarios.different_clocks,
        "restarted fast": partial(scenarios.restarted, server=server, mode="fast"),
        "restarted at once": partial(scenarios.restarted, server=server, mode="immediate"),
        "away for long": partial(scenarios.restarted, server=server, mode="fast", away=30),
    }


def play(all_of_them: dict[str, Scenario], words: str, server: Server | None) -> int:
    """How many scenarios had problems."""
    failed = 0
    for name, scenario in all_of_them.items():
        if words in name:
            with tempfile.TemporaryDirectory() as folder, _database(Path(folder), server) as url:
                report = anyio.run(scenario, url, Path(folder))
            print(report, flush=True)
            failed += bool(report.problems)
    return failed


@contextmanager
def _database(folder: Path, server: Server | None) -> Generator[str]:
    """The address of an empty one."""
    if server is None:
        yield f"sqlite:///{folder / 'evals.db'}"
    else:
        with durable_database(server) as url:
            yield url


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="Breaks everything that may break, and counts what is lost.")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", default="", help="only scenarios with these words in their names")
    options = parser.parse_args()
    shared = on_both(options.runs, options.kills)
    if options.database == "sqlite":
        failed = play(shared | on_sqlite(), options.only, None)
    else:
        with own_server() as server:
            failed = play(shared | on_postgres(server), options.only, server)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
