"""What a log line carries: the click it came from, the operation it is about, and no secret."""

import io
import json
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.test import Client
from django.urls import reverse

from instances import driver, tasks
from instances.cloud import Silent
from rescuepanel.celery import _bind_ids
from rescuepanel.logs import logging_settings
from tests.instances import rows

pytestmark = pytest.mark.django_db
RESCUE = "2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11"


class Lines:
    """The lines written from now on, by the panel's own formatter."""

    def __init__(self, form: str) -> None:
        given = logging_settings("INFO", form)["formatters"]["line"]
        options = {name: value for name, value in given.items() if name != "()"}
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(given["()"](**options))

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Lines]:
    """Give what is logged, as JSON or as the parameter says."""
    lines = Lines(getattr(request, "param", "json"))
    logging.getLogger().addHandler(lines.handler)
    structlog.contextvars.clear_contextvars()
    yield lines
    structlog.contextvars.clear_contextvars()
    logging.getLogger().removeHandler(lines.handler)


class Request:
    request_id = "click-0001"


class Task:
    """What Celery hands to task_prerun of ``drive``."""

    name, request, run = "instances.tasks.drive", Request(), staticmethod(tasks.drive.run)


def test_a_task_s_lines_name_click_and_operation(
    lines: Lines, teams: Any, alice: Any, monkeypatch: Any
) -> None:
    row = rows.rescue(rows.instance(rows.account(teams.acme)), "REQUESTED", alice)
    row.next_at = row.asked_at
    row.save()

    def silent(_account: Any) -> None:
        raise Silent("ConnectTimeout")

    monkeypatch.setattr(driver, "open_account", silent)
    _bind_ids(task_id="t", task=Task(), args=(str(row.pk),))
    driver.step(row.pk)
    (line,) = [one for one in lines.read if "cloud not seen" in one["event"]]
    assert (line["request_id"], line["rescue_id"]) == ("click-0001", str(row.pk))
    assert (line["task"], line["level"]) == ("instances.tasks.drive", "warning")


@pytest.mark.parametrize(
    ("task", "given", "bound"),
    [
        (tasks.drive, (RESCUE,), {"rescue_id": RESCUE}),
        (tasks.sync, (7,), {"account_id": 7}),
        (tasks.advance_batch, (RESCUE,), {"batch_id": RESCUE}),
        (tasks.work, (RESCUE,), {"job_id": RESCUE}),
        (tasks.sweep, (), {}),
    ],
)
def test_every_task_binds_the_ids_it_was_given(task: Any, given: Any, bound: Any) -> None:
    _bind_ids(task_id="t", task=task, args=given)
    held = structlog.contextvars.get_contextvars()
    structlog.contextvars.clear_contextvars()
    assert {name: held[name] for name in held if name.endswith("_id") and name != "request_id"} == (
        bound
    )


def test_a_page_s_lines_name_view_and_ids_and_no_free_text(
    lines: Lines, client: Client, alice: Any
) -> None:
    client.force_login(alice)
    gone = uuid.uuid4()
    given = {"X-Request-ID": "proxy-made-0001"}
    assert client.post(reverse("instances:password", args=[gone]), headers=given).status_code == 404
    (line,) = [one for one in lines.read if one["event"].startswith("Not Found")]
    assert line["request_id"] == "proxy-made-0001"
    assert (line["view"], line["about"]) == ("instances:password", {"pk": str(gone)})
    client.get("/invitations/a-secret-word-of-an-invitation", headers=given)
    assert "a-secret-word" not in lines.text
    assert "about" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize("lines", ["text"], indirect=True)
def test_lines_for_a_person_hide_the_same(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="click-0001", rescue_id=RESCUE):
        logging.getLogger("x").warning("adminPass=canary-7f")
    assert f"rescue_id={RESCUE}" in lines.text and "request_id=click-0001" in lines.text
    assert "canary" not in lines.text and not lines.text.startswith("{")
