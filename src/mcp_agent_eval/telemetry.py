"""Sends spans to a collector over OTLP when the environment names one. Otherwise nothing is imported for it.

The variables are OpenTelemetry's own, and its SDK reads them; this module only decides whether to export at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Thread
from threading import enumerate as threads
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mcp_agent_eval import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

_SERVICE = "mcp-agent-eval"
_EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_SENDING = "spans on their way"
_SECONDS = 1.5
"""How long closing waits for a collector, in seconds; hosts do not wait much longer."""


@contextmanager
def exported_spans() -> Generator[None]:
    """Within the block, send spans to the collector that the environment names, if any.

    Spans are an aid, not part of the work: a problem with them is only reported on standard error.
    """
    if _is_wanted(os.environ):
        _begin()
        try:
            yield
        finally:
            flush_spans()
    else:
        yield


def flush_spans() -> None:
    """Send the spans that have ended so far, and wait briefly for that."""
    from opentelemetry.trace import get_tracer_provider

    provider = get_tracer_provider()
    # One wait for a collector that is away is enough; later callers do not wait again.
    if isinstance(provider, _Flushes) and not any(thread.name == _SENDING for thread in threads()):
        # A thread that can be abandoned: the exporter keeps trying an absent collector for ten seconds.
        sending = Thread(target=provider.force_flush, name=_SENDING, daemon=True)
        sending.start()
        sending.join(_SECONDS)


@runtime_checkable
class _Flushes(Protocol):
    def force_flush(self) -> bool: ...


def _is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for spans to be exported in a way that we support."""
    exporter = environment.get(_EXPORTER, "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if not exporter and not any(environment.get(name) for name in _ENDPOINTS):
        return False
    if exporter not in ("", "otlp"):
        logger.warning(
            "No spans are exported: %s is %s, but only otlp is supported here.", _EXPORTER, exporter
        )
        return False
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        logger.warning(
            "No spans are exported: the protocol is %s, but only %s is supported here.", protocol, _SPOKEN
        )
    return protocol == _SPOKEN


def _begin() -> None:
    """If something else instruments this process, it receives the spans itself."""
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider, set_tracer_provider

    if not isinstance(get_tracer_provider(), ProxyTracerProvider):
        return
    try:
        set_tracer_provider(_provider())
    except ImportError:
        logger.warning('No spans are exported: exporting needs `pip install "mcp-agent-eval[otel]"`.')


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = {"service.name": _SERVICE, "service.version": __version__}
    # By default the SDK would wait half a minute at exit.
    provider = TracerProvider(
        resource=Resource.create(ours | dict(OTELResourceDetector().detect().attributes)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
