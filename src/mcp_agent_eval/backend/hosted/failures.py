"""Translates refusals and failures of the hosted API into the errors used everywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mcp_agent_eval.engine.flows.check import FlowInvalid
from mcp_agent_eval.errors import (
    ApiError,
    BillingFailed,
    BudgetExceeded,
    EvalError,
    InsufficientScope,
    InvalidInput,
    InvalidKey,
    ModelError,
    NotFound,
    NotSupported,
    RateLimited,
    TooLarge,
)
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.flow import FlowIssue

if TYPE_CHECKING:
    import httpx2

_BY_STATUS: dict[int, type[EvalError]] = {
    401: InvalidKey,
    402: BillingFailed,
    403: InsufficientScope,
    404: NotFound,
    410: NotSupported,
    413: TooLarge,
    429: RateLimited,
    501: NotSupported,
}
_HINTS: dict[int, str] = {
    401: "Set AGENT_EVAL_API_KEY to a key of this API, in the `env` of this server.",
    402: "Top up the key's account, then call again.",
    403: "Create a key with this scope and set AGENT_EVAL_API_KEY to it.",
    410: "Create these in the API's dashboard. Existing ones can be used here by id.",
}
_LONGEST = 500


def failure(response: httpx2.Response) -> EvalError:
    """The error for an answer of 400 and above, or a redirect. One of our codes gives its class."""
    body = body_of(response)
    if not isinstance(body, dict) or response.status_code < 400:
        return no_contract(response)
    told = cast(Json, body)
    if told.get("code") == FlowInvalid.code or told.get("error") == FlowInvalid.code:
        return FlowInvalid(_issues(told))
    message, code = _words(told)
    hint = told.get("hint") or _HINTS.get(response.status_code)
    told_hint = hint if isinstance(hint, str) else None
    cls = _class(response.status_code, code)
    if issubclass(cls, BudgetExceeded):
        return cls(message, scope=str(told.get("scope") or ""), hint=told_hint)
    return cls(message, hint=told_hint)


def body_of(response: httpx2.Response) -> object:
    """The JSON of an answer, or None if it is not JSON."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def no_contract(response: httpx2.Response) -> EvalError:
    """The error for an answer that does not follow the contract at all: a web page, or nothing."""
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    return ApiError(
        f"The hosted API answered {response.status_code} with {kind} instead of the contract's JSON.",
        hint="Check AGENT_EVAL_API_URL: it is the address before /agent-eval.",
    )


def _words(told: Json) -> tuple[str, str]:
    """The message, and the code if there is one."""
    return str(told.get("error") or "The hosted API gave no reason.")[:_LONGEST], str(told.get("code") or "")


def _issues(told: Json) -> list[FlowIssue]:
    """All problems of a flow."""
    issues = told.get("issues")
    listed = cast(list[object], issues) if isinstance(issues, list) else []
    return [cast(FlowIssue, {"node_id": None, **issue}) for issue in listed if isinstance(issue, dict)]


def _class(status: int, code: str) -> type[EvalError]:
    known = {cls.code: cls for cls in _tree(EvalError) if cls.__module__ == EvalError.__module__}
    known.pop(ModelError.code)
    if code in known and known[code].status == status:
        return known[code]
    return _BY_STATUS.get(status) or (InvalidInput if status < 500 else ApiError)


def _tree(cls: type[EvalError]) -> Iterator[type[EvalError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _tree(child)
