"""Send spans of requests and tasks to an OpenTelemetry collector, if one is named.

Made by hand, not by the libraries that instrument everything: those put addresses, statements and
peers into spans. Ours hold names of views and tasks, status codes, and the ids that log lines hold.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery import signals
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    raise ImproperlyConfigured(
        "OTEL_EXPORTER_OTLP_ENDPOINT needs OpenTelemetry: pip install -r requirements-observe.lock."
    ) from None

SERVICE = "rescue-panel"
_under_way: dict[str, tuple[Any, Any]] = {}


def begin(endpoint: str) -> None:
    """Send spans to the collector at this address from now on; tasks are traced by signals."""
    provider = TracerProvider(resource=Resource({"service.name": SERVICE}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    signals.before_task_publish.connect(_send_context, weak=False)
    signals.task_prerun.connect(_begin_task, weak=False)
    signals.task_postrun.connect(_end_task, weak=False)


def request_span(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let each request be a span, named after its view."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        kind = trace.SpanKind.SERVER
        # What an error says may be somebody's secret: its type is enough.
        with _tracer().start_as_current_span("none", kind=kind, record_exception=False) as span:
            response = get_response(request)
            match = request.resolver_match
            span.update_name(match.view_name if match else "none")
            span.set_attribute("http.request.method", request.method or "")
            span.set_attribute("http.response.status_code", response.status_code)
            span.set_attributes(_ids())
            return response

    return handle


def _tracer() -> Any:
    return trace.get_tracer(SERVICE)


def _ids() -> dict[str, str]:
    known = structlog.contextvars.get_contextvars()
    return {f"panel.{name}": str(value) for name, value in known.items() if name.endswith("_id")}


def _send_context(headers: dict[str, Any], **_: Any) -> None:
    propagate.inject(headers)


def _begin_task(task_id: str, task: Any, **_: Any) -> None:
    carried = {"traceparent": getattr(task.request, "traceparent", "") or ""}
    parent = propagate.extract(carried)
    span = _tracer().start_span(task.name, context=parent, kind=trace.SpanKind.CONSUMER)
    span.set_attributes(_ids())
    _under_way[task_id] = (span, context.attach(trace.set_span_in_context(span)))


def _end_task(task_id: str, state: str | None = None, **_: Any) -> None:
    span, token = _under_way.pop(task_id, (None, None))
    if span is None:
        return
    span.set_attribute("celery.state", state or "")
    if state == "FAILURE":
        span.set_status(trace.StatusCode.ERROR)
    context.detach(token)
    span.end()
