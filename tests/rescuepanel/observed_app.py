"""Pages and tasks that fail around a secret, in a process that reports: see test_observed.py."""

import logging
import sys

import django

django.setup()

import structlog  # noqa: E402
from django.conf import settings  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from rescuepanel.celery import app  # noqa: E402

CANARY = "canarybirdcanarybirdcanarybirdx"
READY_MADE = "-".join(("ready", "made"))  # whole in no line of code, which reports hold
RESCUE = "2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11"


def failing_view(request: HttpRequest, word: str) -> None:
    password = request.POST["password"]
    logging.getLogger("instances.driver").error("rescue %s: said %s", RESCUE, password)
    logging.getLogger("somebody.else").error(f"{READY_MADE} {password} {word}")
    try:
        {}[password]  # type: ignore[index]
    except KeyError as error:
        raise ValueError(f"no {password} in {request.headers}") from error


urlpatterns = [path("fails/<str:word>", failing_view, name="fails")]


@app.task(name="tests.fails")  # type: ignore[misc]
def failing_task(rescue_id: str, password: str) -> None:
    raise RuntimeError(f"{rescue_id}: {password}")


def main() -> None:
    settings.ROOT_URLCONF = __name__
    client = Client(raise_request_exception=False)
    client.cookies["session"] = CANARY
    answer = client.post(
        f"/fails/{CANARY}?token={CANARY}",
        {"password": CANARY},
        headers={"X-Request-ID": "click-0001", "Authorization": f"Bearer {CANARY}"},
    )
    assert answer.status_code == 500
    structlog.contextvars.bind_contextvars(request_id="click-0002")
    app.conf.task_always_eager = True
    failing_task.apply_async((RESCUE, CANARY))
    if settings.SENTRY_DSN:
        import sentry_sdk

        sentry_sdk.flush(5)
    if settings.TRACES_TO:
        from opentelemetry import trace

        trace.get_tracer_provider().force_flush(5000)  # type: ignore[attr-defined]
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
