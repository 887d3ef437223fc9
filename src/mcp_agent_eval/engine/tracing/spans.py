"""Spans of OpenTelemetry, as all parts of the engine make them.

Names and attributes follow the conventions for generative AI where these define one, and are `agent_eval.*`
otherwise; docs/tracing.md lists them. Only the API is used, so spans cost next to nothing until something in this
process collects them. Spans contain no conversation text unless the user enables it.
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
    """The current run, and whether its spans may contain conversation text."""

    run_id: str
    with_text: bool


@contextmanager
def spans_of_run(run_id: str, *, with_text: bool) -> Generator[None]:
    """Within the block, spans belong only to this run: whatever was in progress when the worker started is not part
    of its runs."""
    token = attach(set_value(_TRACED, _Traced(run_id, with_text), Context()))
    try:
        yield
    finally:
        detach(token)


def shows_text() -> bool:
    """Whether the current spans may contain conversation text."""
    traced = _traced()
    return traced is not None and traced.with_text


@contextmanager
def open_span(
    name: str, attributes: Attributes, *, kind: SpanKind = SpanKind.INTERNAL, links: Sequence[Link] = ()
) -> Generator[Span]:
    """A span that reports an error by its kind. The message of a foreign exception may quote a conversation."""
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
    """A value that attributes cannot contain, as text."""
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
