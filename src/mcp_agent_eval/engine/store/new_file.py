"""A new file that appears only when it is complete, and never replaces another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mcp_agent_eval.errors import InvalidInput


@contextmanager
def new_file(target: Path) -> Generator[Path]:
    """An empty file next to `target`, accessible only to its owner. After the block it is on disk under that name;
    it is removed if the block fails.

    Raises:
        InvalidInput: the name is already taken, or the folder cannot be written to.
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
        raise InvalidInput(f"{target} already exists.", hint="Name a new file.") from None
    except OSError as exc:
        raise InvalidInput(f"{target} cannot be written: {exc.strerror}.", hint="Name another file.") from exc


def _beside(target: Path) -> Path:
    if target.exists():
        raise FileExistsError
    handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".partial", dir=target.parent)
    os.close(handle)
    return Path(name)


def _settle(partial: Path, target: Path) -> None:
    """Give the file its name. The name is reserved first, since on some systems a rename silently replaces a file."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    partial.replace(target)
