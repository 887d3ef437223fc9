"""Spans of OpenTelemetry, as all parts of the engine make them.

Names and attributes are those of the conventions for generative AI where these have one, and `agent_eval.*` where
they have none; docs/tracing.md lists them. Only the API is used, so spans cost next to nothing until something in
this process takes them. What was said stands in no span unless the user wants it there.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_tracer
from opentelemetry.util.types import AttributeValue

from mcp_agent_eval import __version__
from mcp_agent_eval.errors import EvalError, ModelError

Attributes = dict[str, AttributeValue]

_tracer = get_tracer("mcp-agent-eval", __version__)
_TRACED = create_key("mcp-agent-eval run")


class _Traced(NamedTuple):
    """The run that goes on, and whether its spans may hold what was said."""

    run_id: str
    with_text: bool


@contextmanager
def spans_of_run(run_id: str, *, with_text: bool) -> Generator[None]:
    """Spans within are of this run and of nothing else: what happened to be going on when a worker began its work
    is no part of its runs."""
    token = attach(set_value(_TRACED, _Traced(run_id, with_text), Context()))
    try:
        yield
    finally:
        detach(token)


def shows_text() -> bool:
    """Whether the current spans may hold what was said."""
    traced = _traced()
    return traced is not None and traced.with_text


@contextmanager
def open_span(
    name: str, attributes: Attributes, *, kind: SpanKind = SpanKind.INTERNAL, links: Sequence[Link] = ()
) -> Generator[Span]:
    """A span that tells of an error by its kind. What a foreign exception says may quote a conversation."""
    if traced := _traced():
        attributes["gen_ai.conversation.id"] = traced.run_id
    with _tracer.start_as_current_span(
        name,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as exc:
            _tell_exception(span, exc)
            raise


def tell_failure(span: Span, kind: str, message: str | None = None) -> None:
    """Mark a span as failed. The message is in our own words."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message))


def as_json(value: object) -> str:
    """A value that attributes cannot hold, as text."""
    return json.dumps(value, ensure_ascii=False)


def _tell_exception(span: Span, exc: BaseException) -> None:
    if isinstance(exc, ModelError):
        span.set_attribute("agent_eval.requests", exc.attempts)
        if exc.status_code is not None:
            span.set_attribute("http.response.status_code", exc.status_code)
        tell_failure(span, exc.kind, exc.message)
    elif isinstance(exc, EvalError):
        tell_failure(span, exc.code.lower(), exc.message)
    else:
        tell_failure(span, type(exc).__qualname__)


def _traced() -> _Traced | None:
    traced = get_value(_TRACED)
    return traced if isinstance(traced, _Traced) else None
