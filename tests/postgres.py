"""A real PostgreSQL server for as long as the tests run, and an empty database on it for whoever asks.

It is the server that `TEST_POSTGRES_URL` names, else one that is started here from the machine's own binaries.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

GIVEN = "TEST_POSTGRES_URL"
_UNSAFE_BUT_QUICK = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"


class Server:
    """A cluster of our own in a folder of its own, reached through a socket in it."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder = folder
        self._bin = bin
        self._as = _somebody_else(folder)

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' {_UNSAFE_BUT_QUICK}"
        self._ctl("-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._ctl("-w", "-m", mode, "stop")

    def initialise(self) -> None:
        data, locale = f"{self.folder}/data", "--locale=C"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", locale)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def _ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", *arguments)

    def _run(self, command: str, *arguments: str) -> None:
        whole = [self._bin / command, *arguments]
        subprocess.run(whole, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **self._as)


@contextmanager
def own_server() -> Iterator[Server]:
    """A server that its user may stop and start again."""
    # Not under pytest's folders: the path of a socket may have a hundred characters only.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Server(folder, _binaries())
    try:
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):  # it may have been stopped by its user
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The address of an empty database on the server of this address."""
    import psycopg

    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server on which databases may be made."""
    if given := os.environ.get(GIVEN):
        yield given
        return
    with own_server() as server:
        yield server.url("postgres")


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The address of an empty database."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database may be made, of each kind."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'evals.db'}"


def _binaries() -> Path:
    """Where the newest server of this machine is. In CI there has to be one."""
    found = [shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)]
    for initdb in found:
        if initdb:
            return Path(initdb).resolve().parent
    if os.environ.get("CI"):
        raise RuntimeError(f"CI needs a PostgreSQL server: install one, or set {GIVEN}")
    pytest.skip(f"no PostgreSQL server is installed here, and {GIVEN} names none")


def _somebody_else(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to be started by root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
