"""Classifies a provider's refusal: its kind, the words to report, and when to try again."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from mcp_agent_eval.engine.llm.wire import complaint, complaint_with_labels
from mcp_agent_eval.errors import FailureKind
from mcp_agent_eval.types import now


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without an answer. `reason` continues a sentence that begins with the model's name; `words` are
    the provider's. `may_be_billed`: it was sent, and its outcome is unknown."""

    kind: FailureKind
    reason: str
    status: int | None = None
    words: str = ""
    retry_after: float | None = None
    received: Any = None
    may_be_billed: bool = False


_KINDS: dict[int, FailureKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    408: "timeout",
    425: "overloaded",
    429: "rate_limit",
    504: "timeout",
}

_UNPAID = re.compile(
    r"insufficient[_ ](quota|balance|credit|funds)|credit balance|billing(?!.*retry in)", re.I | re.S
)
"""A provider that mentions billing together with a retry time means a limit per minute."""

_NO_CREDIT = {400: re.compile("credit balance", re.I), 403: _UNPAID, 429: _UNPAID}


def refusal(status: int, received: Any, headers: httpx2.Headers, error: Any = None) -> Failure:
    """The failure that an answer reports; `error` is the error in the body of a 200."""
    told = received if error is None else {"error": error}
    words, said = complaint_with_labels(told), complaint(told)
    return Failure(
        _kind(status, words),
        f"answered {status}: {said}" if said else f"answered {status}",
        status=status,
        words=words,
        retry_after=_retry_after(headers),
        received=received,
    )


def _kind(status: int, words: str) -> FailureKind:
    if status in _NO_CREDIT and _NO_CREDIT[status].search(words):
        return "quota"
    if status < 300:
        return "malformed"
    return _KINDS.get(status) or ("overloaded" if status >= 500 else "refused")


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds to wait, from any of the header's three forms."""
    if (wait := _seconds(headers.get("retry-after-ms"))) is not None:
        return wait / 1000
    given = headers.get("retry-after")
    return _seconds(given) if _seconds(given) is not None else _seconds_until(given)


def _seconds(number: str | None) -> float | None:
    try:
        seconds = float(number or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now()).total_seconds())
