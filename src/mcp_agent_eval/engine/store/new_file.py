"""A file that is there when it is whole, and never takes the place of another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mcp_agent_eval.errors import InvalidInput


@contextmanager
def new_file(target: Path) -> Generator[Path]:
    """An empty file beside `target`, for its owner alone. At the end of the block it is on disk under that name; it
    is removed when the block fails.

    Raises:
        InvalidInput: something of that name is there, or its folder cannot be written to.
    """
    with _refusals(target):
        partial = _beside(target)
    try:
        yield partial
        with _refusals(target):
            _settle(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _refusals(target: Path) -> Generator[None]:
    try:
        yield
    except FileExistsError:
        raise InvalidInput(f"{target} exists already.", hint="Name a new file.") from None
    except OSError as exc:
        raise InvalidInput(f"{target} cannot be written: {exc.strerror}.", hint="Name another file.") from exc


def _beside(target: Path) -> Path:
    if target.exists():
        raise FileExistsError
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".partial", dir=target.parent)
    os.close(handle)
    return Path(name)


def _settle(partial: Path, target: Path) -> None:
    """Give the file its name. That is taken first, since on some systems a file silently replaces another."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    partial.replace(target)
