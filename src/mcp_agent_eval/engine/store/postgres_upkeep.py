"""Maintenance of a PostgreSQL database: copies it while in use, and vacuums it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import LiteralString

from mcp_agent_eval.engine.store.addresses import shown, without_passwords
from mcp_agent_eval.engine.store.new_file import new_file
from mcp_agent_eval.engine.store.postgres_server import SCHEMA, connect, explained, require_driver
from mcp_agent_eval.errors import NotConfigured, StoreError

_DUMP = "pg_dump"
_TIDY: LiteralString = (
    "VACUUM (ANALYZE) model_calls, turns, run_documents, runs, suite_runs, spending, reservations"
)


def back_up(url: str, target: Path) -> None:
    """Have `pg_dump` write a consistent state of our schema into a new file while others read and write.

    Raises:
        InvalidInput: the new file exists, or cannot be made.
        NotConfigured: the driver or `pg_dump` is not installed.
        StoreError: `pg_dump` failed; the message has its own words.
    """
    require_driver()
    program = shutil.which(_DUMP)
    if program is None:
        raise NotConfigured(
            f"A backup of a PostgreSQL database is made by {_DUMP}, which is not on the PATH.",
            hint="Install the client programs of PostgreSQL, of the server's version or a newer one.",
        )
    conninfo, secrets = _address(url)
    with new_file(target) as partial:
        options = ["--format=custom", f"--schema={SCHEMA}", "--no-password", f"--file={partial}"]
        done = subprocess.run(
            [program, *options, f"--dbname={conninfo}"],
            env=os.environ | secrets,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise StoreError(
                f"No backup was made of {shown(url)}. {without_passwords(_complaint(done.stderr), url)}"
            )


def compact(url: str) -> str:
    """Let the server reuse the space of deleted rows, without holding anyone up; return the outcome in words.

    Raises:
        StoreError: the server cannot be used.
    """
    import psycopg

    try:
        with closing(connect(url)) as connection:
            connection.execute(_TIDY)
    except psycopg.Error as exc:
        raise explained(exc, url) from None
    return "Vacuumed: the server will reuse the freed space for new runs. Its files hardly shrink."


def _address(url: str) -> tuple[str, dict[str, str]]:
    """Split the address: a command line, which others can see, and environment variables for the secrets."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as exc:
        raise explained(exc, url) from None
    password = parts.pop("password", None)
    parts.pop(
        "sslpassword", None
    )  # there is no variable for it: pg_dump will say that it needs a key without one
    return make_conninfo("", **parts), {"PGPASSWORD": str(password)} if password else {}


def _complaint(stderr: str) -> str:
    """The problem in `pg_dump`'s own words, which begin with its name."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), f"{_DUMP} failed, and did not say why.")
