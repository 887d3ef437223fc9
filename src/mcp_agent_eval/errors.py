"""Every failure that this product tells a caller about, in one tree.

    EvalError
    ├── InvalidInput            400  a field of the request is wrong
    │   ├── InvalidPattern           a regular expression does not compile, or is too costly
    │   └── ImpossibleAssertion      an assertion that could never hold for this agent
    ├── NotConfigured           400  a setting is missing, and which one
    ├── RunFinished             400  the run is over, nothing is left to cancel
    ├── NotFound                404  no such thing; how to see what there is
    ├── AmbiguousReference      409  a name or an id prefix fits more than one thing
    ├── StoreError              503  the database cannot be used
    │   └── StoreTooNew              it was written by a newer version
    └── ModelError              502  a model provider refused, failed or stayed silent

A message says what was wrong and what would be right. A hint names the next call to make.
Neither ever carries text from a conversation: transcripts are untrusted.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal


class EvalError(Exception):
    """The root: `code` is stable, `status` is the HTTP status, `hint` the next call to make."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_dict(self) -> dict[str, Any]:
        """`{"error": message, "code": code}`, the contract's error body, with `hint` where there is one."""
        body: dict[str, Any] = {"error": self.message, "code": self.code}
        return body | {"hint": self.hint} if self.hint else body


class InvalidInput(EvalError):
    """A field of the request is missing, unknown, of the wrong type or out of range."""

    code = "BAD_REQUEST"
    status = 400


class InvalidPattern(InvalidInput):
    """A `pattern` that does not compile, or that could cost more time or memory than a search may."""

    code = "INVALID_PATTERN"


class ImpossibleAssertion(InvalidInput):
    """An assertion, allowlist entry or override that could never hold for this agent."""

    code = "IMPOSSIBLE_ASSERTION"


class NotConfigured(EvalError):
    """Something that only the user can decide was not decided: a model, a key, a backend."""

    code = "NOT_CONFIGURED"
    status = 400


class RunFinished(EvalError):
    """The run is already over, so there is nothing left to cancel."""

    code = "RUN_FINISHED"
    status = 400


class NotFound(EvalError):
    """There is no such thing, or it was deleted."""

    code = "NOT_FOUND"
    status = 404


class AmbiguousReference(EvalError):
    """A name or an id prefix fits more than one thing."""

    code = "AMBIGUOUS_REFERENCE"
    status = 409


class StoreError(EvalError):
    """The database cannot be opened, read or written."""

    code = "STORE_UNAVAILABLE"
    status = 503


class StoreTooNew(StoreError):
    """The database was written by a newer version of this program."""

    code = "STORE_TOO_NEW"


FailureKind = Literal[
    "rate_limit", "quota", "auth", "refused", "overloaded", "timeout", "unreachable", "malformed"
]


class ModelError(EvalError):
    """A model call that failed for good, after its retries.

    `kind` says how; `status_code` is the provider's, if it answered; `retry_after` is in seconds;
    `sent` and `received` are the last bodies that went over the wire, kept with the run.
    """

    code = "MODEL_FAILED"
    status = 502

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        hint: str | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
        sent: dict[str, Any] | None = None,
        received: Any = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status_code = status_code
        self.retry_after = retry_after
        self.attempts = attempts
        self.sent = sent
        self.received = received
