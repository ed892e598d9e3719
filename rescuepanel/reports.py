"""Report errors to a Sentry, if one is named: where they happened, never what was in the data.

A report is made anew from what is known to be harmless, so that nothing a later SDK gathers
slips through: types of errors, lines of our code, our own ids. What an error says may quote a
person, a cloud or a machine: it stays in the panel's log, which the ``request_id`` leads to.
"""

from logging import ERROR
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

_EVENT = ("event_id", "timestamp", "level", "logger", "platform", "release", "environment", "sdk")
_FRAME = (
    "filename", "abs_path", "module", "function", "lineno", "in_app",
    "pre_context", "context_line", "post_context",
)  # fmt: skip
#: what log lines carry and a report may: see celery.py and middleware.py
_TAGS = ("request_id", "view", "task")
_OURS = ("instances", "teams", "rescuepanel")


def begin(dsn: str) -> None:
    """Send errors to the Sentry of this address from now on.

    Raise ``ImproperlyConfigured`` when the library is not there.
    """
    try:
        import sentry_sdk
        from sentry_sdk.integrations import celery, django, excepthook, logging
    except ImportError:
        raise ImproperlyConfigured(
            "SENTRY_DSN needs sentry-sdk: pip install -r requirements-observe.lock."
        ) from None
    sentry_sdk.init(
        dsn=dsn,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            django.DjangoIntegration(middleware_spans=False, cache_spans=False),
            celery.CeleryIntegration(propagate_traces=False),
            excepthook.ExcepthookIntegration(),
            logging.LoggingIntegration(level=None, event_level=ERROR),
        ],
        # Else every cloud is sent headers of Sentry's.
        trace_propagation_targets=[],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        server_name="panel",
        before_send=harmless,  # type: ignore[arg-type]
        before_send_transaction=lambda _event, _hint: None,
    )


def harmless(event: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """Return a report that holds of an event what cannot be anybody's secret."""
    kept = {name: event[name] for name in _EVENT if name in event}
    kept["tags"] = _tags()
    if str(event.get("logger", "")).startswith(_OURS):
        # The words of the programmer, without what was put into them.
        kept["logentry"] = {"message": (event.get("logentry") or {}).get("message", "")}
    if errors := (event.get("exception") or {}).get("values"):
        kept["exception"] = {"values": [_error(error) for error in errors]}
    return kept


def _error(error: dict[str, Any]) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames") or []
    places = [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]
    return {
        "type": error.get("type"),
        "module": error.get("module"),
        "value": "",
        "stacktrace": {"frames": places},
    }


def _tags() -> dict[str, str]:
    known = structlog.contextvars.get_contextvars()
    found = {name: str(known[name]) for name in _TAGS if name in known}
    return found | {name: str(value) for name, value in known.items() if name.endswith("_id")}
