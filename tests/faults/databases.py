"""Databases that keep what they have confirmed when their server is stopped, unlike those of the other tests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

from tests.postgres import Server


@contextmanager
def durable_database(server: Server) -> Generator[str]:
    """The address of an empty one, of a server that may be restarted meanwhile."""
    name = f"t{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name}")
    _execute(server, f"ALTER DATABASE {name} SET synchronous_commit = on")
    yield server.url(name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: Server, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())
