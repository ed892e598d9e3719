"""What runs by the clock exists, and no two runs of it pile up."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from rescuepanel.celery import app, clear_sessions


def test_every_scheduled_task_exists() -> None:
    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks


def test_nudges_expire_before_they_pile_up() -> None:
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        if entry["schedule"] < 60:
            assert entry["options"]["expires"] <= 2 * entry["schedule"]


@pytest.mark.django_db
def test_ended_sessions_are_deleted_and_others_stay() -> None:
    for age in (timedelta(hours=-1), timedelta(hours=1)):
        session = SessionStore()
        session["who"] = str(age)
        session.set_expiry(age)
        session.save()
    clear_sessions()
    assert [row.get_decoded()["who"] for row in Session.objects.all()] == ["1:00:00"]
