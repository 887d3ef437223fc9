"""Standard output and standard error, which may be closed, full, or a pipe whose reader has left."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

import click

from mcp_agent_eval.lab.reports.texts import for_a_log

UNTOLD = 3
"""The exit code of a command whose result could not be written; it must not be confused with any other."""

_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF, errno.EINVAL)


def is_plain() -> bool:
    """Whether the user wants no colours, or the terminal has none."""
    return bool(os.environ.get("NO_COLOR")) or has_no_cursor()


def has_no_cursor() -> bool:
    """Whether the terminal can only write line after line."""
    return os.environ.get("TERM") == "dumb"


class CannotWrite(click.FileError):
    """A file or a stream that cannot be written."""

    def format_message(self) -> str:
        """`evals.xml cannot be written: No space left on device.`"""
        return f"{self.ui_filename} cannot be written: {self.message}."


def say(line: str, colour: str | None = None) -> None:
    """Write a line that begins with our own words and cannot control a terminal or a build. If standard error
    cannot be written, the line is dropped."""
    try:
        click.secho(for_a_log(line), err=True, fg=colour)
    except OSError:
        abandon(sys.stderr)


def write_bytes(content: bytes) -> None:
    """Write all of it to standard output.

    Raises:
        CannotWrite: standard output is closed or full, or its reader has left.
    """
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise CannotWrite("Standard output", "it is closed")
    try:
        stream.buffer.write(content)
        stream.flush()
    except OSError as exc:
        raise unwritable(exc) from None


def is_of_a_stream(exc: OSError) -> bool:
    """Whether an exception comes from a stream that cannot be written; for files and sockets we raise our own
    errors."""
    return exc.filename is None and exc.errno in _FAILURES


def unwritable(exc: OSError) -> CannotWrite:
    """The error for a standard output that failed with this exception."""
    abandon(sys.stdout)
    return CannotWrite("Standard output", exc.strerror or type(exc).__name__)


def settle() -> None:
    """Write what is left, such as a log line that did not fit before."""
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            abandon(stream)


def abandon(stream: TextIO | None) -> None:
    """Discard the rest of a failed stream. Python would try to write it again at exit, fail, and replace our exit
    code with its own."""
    with suppress(OSError):
        if stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
