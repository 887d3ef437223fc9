"""The result of a check: that all is well, or the problem and how to fix it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.types import Json

Level = Literal["ok", "warn", "fail"]
"""`fail`: something will not work. `warn`: it will, but perhaps not as intended."""


class Finding(NamedTuple):
    """One line of the report. `about` is what was checked; `fix` is what to do, unless all is well."""

    level: Level
    about: str
    message: str
    fix: str | None = None

    def as_dict(self) -> Json:
        """As JSON."""
        found = {"about": self.about, "level": self.level, "message": self.message}
        return found | {"fix": self.fix} if self.fix else found


def ok(about: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", about, message)


def warn(about: str, message: str, fix: str) -> Finding:
    """It works, but perhaps not as intended."""
    return Finding("warn", about, message, fix)


def fail(about: str, message: str, fix: str) -> Finding:
    """It does not work."""
    return Finding("fail", about, message, fix)


def failed(about: str, exc: EvalError, otherwise: str) -> Finding:
    """A finding from an error; `otherwise` is the fix if the error names none."""
    return fail(about, exc.message, exc.hint or otherwise)
