"""Every failure that this product reports to a caller, in one tree.

    EvalError
    ├── InvalidInput            400  a field of the request is wrong
    │   ├── InvalidPattern           a regular expression does not compile, or is too costly
    │   └── ImpossibleAssertion      an assertion that could never hold for this agent
    ├── NotConfigured           400  a setting is missing; the message says which
    ├── RunFinished             400  the run is over, nothing is left to cancel
    ├── ConsentNeeded           400  the user has to agree first
    ├── Unauthorized            401  the caller may not do this
    │   ├── MissingKey               no key was sent
    │   ├── InvalidKey               the key is unknown or was revoked
    │   ├── ExpiredKey               the key's expiry date has passed
    │   └── InsufficientScope        the key does not cover what was asked for
    ├── BillingFailed           402  the hosted account cannot pay
    ├── BudgetExceeded          402  the next call could cost more than the user's own ceiling allows
    ├── ForeignRequest          403  a web page or host that has no business here
    ├── NotFound                404  no such thing; how to see what there is
    │   └── InvalidId                the text given as an id cannot be one
    ├── AmbiguousReference      409  a name or an id prefix matches more than one thing
    ├── TooLarge                413  the request is larger than any sensible one
    ├── RateLimited             429  too many requests in a minute
    ├── NotSupported            501  the backend in use cannot do this; the message says what can
    ├── StoreError              503  the database cannot be used
    │   └── StoreTooNew              it was written by a newer version
    ├── ModelError              502  a model provider refused, failed or stayed silent
    └── ApiError                502  the hosted API failed, stayed silent or answered nonsense
        └── OutcomeUnknown           the answer was lost: the request may have been carried out

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


class ConsentNeeded(EvalError):
    """The request would act in the world, and the user has not agreed to it."""

    code = "CONSENT_NEEDED"
    status = 400


class Unauthorized(EvalError):
    """The request's key, or the lack of one, does not allow it."""

    code = "UNAUTHORIZED"
    status = 401


class MissingKey(Unauthorized):
    """A key is needed and none was sent."""

    code = "MISSING_KEY"


class InvalidKey(Unauthorized):
    """The key is unknown or was revoked."""

    code = "INVALID_KEY"


class ExpiredKey(Unauthorized):
    """The key's expiry time has passed."""

    code = "EXPIRED_KEY"


class InsufficientScope(Unauthorized):
    """The key is valid but lacks the required scope."""

    code = "INSUFFICIENT_SCOPE"


class BillingFailed(EvalError):
    """The hosted account has no balance or no means of payment."""

    code = "BILLING_ERROR"
    status = 402


class BudgetExceeded(EvalError):
    """A ceiling set by the user would be exceeded. `scope` says which: the run's, the suite run's or the day's."""

    code = "BUDGET_EXCEEDED"
    status = 402

    def __init__(self, message: str, *, scope: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope


class ForeignRequest(EvalError):
    """A request with a Host or Origin that is not ours: a web page that tries to reach a local server."""

    code = "FORBIDDEN"
    status = 403


class NotFound(EvalError):
    """It does not exist, or it was deleted."""

    code = "NOT_FOUND"
    status = 404


class InvalidId(NotFound):
    """The text given as an id is not a UUID, so nothing can have that id."""

    code = "RESOURCE_ID_INVALID"


class AmbiguousReference(EvalError):
    """A name or an id prefix matches more than one thing."""

    code = "AMBIGUOUS_REFERENCE"
    status = 409


class TooLarge(EvalError):
    """The body of a request is larger than the server accepts."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class RateLimited(EvalError):
    """Too many requests with one key. `retry_after` is in seconds."""

    code = "RATE_LIMIT"
    status = 429

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class NotSupported(EvalError):
    """The backend in use does not support the request."""

    code = "NOT_SUPPORTED"
    status = 501


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

    `kind` says how it failed; `status_code` is the provider's, if it answered; `retry_after` is in seconds;
    `sent` and `received` are the last bodies that went over the wire, kept with the run. `lost` of the
    `attempts` may have been billed without giving an answer.
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
        lost: int = 0,
        sent: dict[str, Any] | None = None,
        received: Any = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.status_code = status_code
        self.retry_after = retry_after
        self.attempts = attempts
        self.lost = lost
        self.sent = sent
        self.received = received


class ApiError(EvalError):
    """The hosted API could not be reached, failed, or gave an answer that does not follow the contract."""

    code = "UPSTREAM_ERROR"
    status = 502


class OutcomeUnknown(ApiError):
    """A request was sent but its answer was lost: it may or may not have been carried out."""

    code = "OUTCOME_UNKNOWN"
