"""Write logs as lines that carry the ids of request and operation, and no secret."""

import logging
import logging.config
import re
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from .log_addresses import HIDDEN, hide_in_addresses

# At DEBUG these print request and reply bodies: passwords and tokens in clear.
_TALKATIVE = ["openstack", "keystoneauth", "urllib3", "requests", "paramiko", "httpcore"]
_MONOTONOUS = ["celery.beat", "celery.worker.strategy", "celery.app.trace", "httpx"]
_TO_HIDE = r"admin_?pass|password|passwd|secret|token|authorization|cookie|api_?key"
_NAME = re.compile(_TO_HIDE, re.IGNORECASE)
# A word is tried from its first letter only, and never again from its middle: who sends a very long
# one would otherwise keep the web process busy for as long as the square of its length.
_ASSIGNMENT = re.compile(
    rf"""(?P<name>(?<![\w-])(?=[\w-]*?(?:{_TO_HIDE}))[\w-]++["']?\s*+[:=]\s*+(?:Bearer\s++)?)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[^\s,;&}\])]++)""",
    re.IGNORECASE,
)


def redact(value: Any) -> Any:
    """Return the value with everything that looks like a secret replaced."""
    if isinstance(value, str):
        assigned = _ASSIGNMENT.sub(lambda found: found["name"] + HIDDEN, value)
        return hide_in_addresses(assigned)
    if isinstance(value, dict):
        return {
            key: HIDDEN if _NAME.search(str(key)) else redact(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: HIDDEN if _NAME.search(key) else redact(value) for key, value in event.items()}


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    # Without locals: a traceback that shows variables shows passwords.
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
]


#: how a line is written: for machines, or for a person at a terminal
_RENDERERS: dict[str, structlog.typing.Processor] = {
    "json": structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    "text": structlog.dev.ConsoleRenderer(colors=False),
}


def logging_settings(level: str, form: str = "json") -> dict[str, Any]:
    """Return the logging configuration for this level, as ``json`` or ``text``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _redacted,
                    _RENDERERS[form],
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": _at_least_info(level)} for name in _TALKATIVE}
        # Django and uvicorn bring handlers of their own: one format for all.
        | {"django": {"handlers": [], "level": level}}
        | {name: {"handlers": [], "propagate": True} for name in ("uvicorn", "uvicorn.access")}
        | {name: {"level": _at_least_info(level)} for name in ("django.db.backends", "asyncio")}
        # At DEBUG it prints what goes through a web socket: what is typed in a terminal.
        | {"uvicorn.error": {"handlers": [], "propagate": True, "level": _at_least_info(level)}}
        # A line for each nudge would bury the rest; what fails is an error and stays.
        | {name: {"level": "WARNING"} for name in _MONOTONOUS},
    }


def _at_least_info(level: str) -> str:
    return "INFO" if level == "DEBUG" else level


def configure(settings: dict[str, Any]) -> None:
    """Set up the standard library's logging and structlog on top of it."""
    logging.config.dictConfig(settings)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
