"""Checks where evals are stored: the database here, or the API elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio

from mcp_agent_eval.backend.checkup import address, database_file, try_database
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.cli.doctor.findings import Finding, fail, failed, ok, warn
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.lab.digest import STUB_JUDGE
from mcp_agent_eval.settings import Settings

_DATABASE, _API = "database", "api"
_ANOTHER = "Choose another AGENT_EVAL_DATABASE_URL."
_LITTLE, _TOO_LITTLE = 1_000_000_000, 50_000_000
_PATIENCE = 30.0


async def check_database(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the database can be read and written, has the current schema, and has room to grow."""
    try:
        file = database_file(settings)
        if file is None or file.exists():
            await try_database(settings)
            yield ok(
                _DATABASE, f"{address(settings)} can be written, and its schema is the one of this version."
            )
        else:
            yield _place_for(file)
    except EvalError as exc:
        yield failed(_DATABASE, exc, _ANOTHER)
    else:
        for finding in _room(file) if file else ():
            yield finding


async def check_api(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the API answers and accepts the key, and whether there is a real judge."""
    try:
        with anyio.fail_after(_PATIENCE):
            async with connect(settings) as link:
                await link.backend.list("suite", limit=1)
                judges = (await link.backend.capabilities()).judges
    except EvalError as exc:
        yield failed(_API, exc, "Check AGENT_EVAL_API_URL and AGENT_EVAL_API_KEY.")
    except TimeoutError:
        message = f"{settings.api_url} gave no answer within {_PATIENCE:g} seconds."
        yield fail(_API, message, "Check AGENT_EVAL_API_URL and the network.")
    else:
        yield ok(_API, f"{settings.api_url} answers and accepts the key.")
        if not judges and not settings.judge_model:
            yield warn(_API, f"{STUB_JUDGE[0].upper()}{STUB_JUDGE[1:]}.", "Set AGENT_EVAL_JUDGE_MODEL.")


def _place_for(file: Path) -> Finding:
    """The finding for a database that was never used. It is not created here: checks change nothing."""
    folder = _nearest_folder(file)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(_DATABASE, f"{file} will be created when it is first used.")
    return fail(_DATABASE, f"{file} cannot be created: {folder} is not a writable folder.", _ANOTHER)


def _room(file: Path) -> Iterator[Finding]:
    folder = _nearest_folder(file)
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:.1f} GB are free at {folder}."
    if free >= _LITTLE:
        yield ok("disk", message)
    else:
        level = fail if free < _TOO_LITTLE else warn
        yield level("disk", message, "Free some space: a run that cannot be stored breaks.")


def _nearest_folder(file: Path) -> Path:
    return next(folder for folder in file.parents if folder.exists())
