"""The notification panel, and the password above all."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from instances.models import Instance, Rescue
from teams.models import AuditEntry
from tests.instances import rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def rescued(teams: SimpleNamespace) -> Instance:
    return rows.rescued(rows.account(teams.acme))


@pytest.fixture
def ready(rescued: Instance, alice: Any) -> Rescue:
    return rows.rescue(rescued, "READY", alice)


def as_(client: Client, person: Any) -> Client:
    client.force_login(person)
    return client


def test_it_names_the_instance_and_what_to_do(client: Client, ready: Rescue, alice: Any) -> None:
    panel = as_(client, alice).get("/notifications", headers=HTMX).content.decode()
    assert 'aria-label="Notifications"' in panel
    assert "<html" not in panel
    for words in (
        "web-2",
        "In rescue mode",
        "Temporary password",
        "Show password",
        "root@203.0.113.7",
        "mount /dev/vdb1 /mnt",
        "Exit rescue mode",
    ):
        assert words in panel


def test_it_is_on_every_page(client: Client, ready: Rescue, alice: Any) -> None:
    for url in ("/", "/notifications"):
        page = as_(client, alice).get(url).content.decode()
        assert "<html" in page
        assert page.count(f'id="rescue-{ready.pk}"') == 1


def test_no_page_holds_the_password(client: Client, ready: Rescue, alice: Any) -> None:
    as_(client, alice)
    for url in ("/", "/notifications", f"/instances/{ready.instance_id}/exit"):
        assert rows.PASSWORD not in client.get(url).content.decode()


def test_it_appears_by_itself_only_to_the_one_who_asked(
    client: Client, ready: Rescue, alice: Any, bob: Any
) -> None:
    mark = f'data-auto-reveal="{ready.pk}"'
    assert mark in as_(client, alice).get("/").content.decode()
    assert mark not in as_(client, bob).get("/").content.decode()
    as_(client, alice).post(f"/rescues/{ready.pk}/password")
    assert mark not in client.get("/").content.decode()


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_the_reveal_is_kept_nowhere(
    client: Client, ready: Rescue, bob: Any, headers: dict[str, str]
) -> None:
    answer = as_(client, bob).post(f"/rescues/{ready.pk}/password", headers=headers)
    assert answer.status_code == 200
    assert rows.PASSWORD in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert ("<html" in answer.content.decode()) is not bool(headers)
    assert AuditEntry.objects.filter(act="password.reveal", actor=bob).count() == 1


@pytest.mark.parametrize("action", ["password", "cancel", "dismiss"])
def test_a_get_does_nothing_and_says_so(
    client: Client, ready: Rescue, alice: Any, action: str
) -> None:
    answer = as_(client, alice).get(f"/rescues/{ready.pk}/{action}")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert "Nothing was changed" in answer.content.decode()
    assert not AuditEntry.objects.filter(act="password.reveal").exists()


@pytest.mark.parametrize("action", ["password", "cancel", "dismiss"])
def test_another_teams_rescue_does_not_exist(
    client: Client, ready: Rescue, mallory: Any, action: str
) -> None:
    answer = as_(client, mallory).post(f"/rescues/{ready.pk}/{action}")
    assert answer.status_code == 404
    assert rows.PASSWORD not in answer.content.decode()


def test_a_reader_sees_the_rescue_but_no_password(
    client: Client, ready: Rescue, carol: Any
) -> None:
    page = as_(client, carol).get("/").content.decode()
    assert f'id="rescue-{ready.pk}"' in page
    assert "Show password" not in page
    answer = client.post(f"/rescues/{ready.pk}/password", headers=HTMX)
    assert answer.status_code == 403
    assert rows.PASSWORD not in answer.content.decode()
    assert client.post(f"/rescues/{ready.pk}/cancel").status_code == 403


def test_a_password_that_is_gone_is_said_to_be(
    client: Client, rescued: Instance, alice: Any
) -> None:
    rescue = rows.rescue(rescued, "WAITING", alice)
    answer = as_(client, alice).post(f"/rescues/{rescue.pk}/password", headers=HTMX)
    assert answer.status_code == 409
    assert "There is no temporary password to show." in answer.content.decode()


def test_cancel_takes_a_request_back(client: Client, rescued: Instance, alice: Any) -> None:
    rescue = rows.rescue(rescued, "REQUESTED", alice)
    as_(client, alice)
    assert f"/rescues/{rescue.pk}/cancel" in client.get("/").content.decode()
    assert client.post(f"/rescues/{rescue.pk}/cancel", headers=HTMX).status_code == 200
    rescue.refresh_from_db()
    assert rescue.state == "CANCELLED"


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_too_late_to_cancel_is_said(
    client: Client, rescued: Instance, alice: Any, headers: dict[str, str]
) -> None:
    rescue = rows.rescue(rescued, "WAITING", alice)
    answer = as_(client, alice).post(f"/rescues/{rescue.pk}/cancel", headers=headers)
    assert answer.status_code == 409
    assert "Too late" in answer.content.decode()


def test_a_failure_is_told_in_plain_words_with_the_clouds_own(
    client: Client, rescued: Instance, alice: Any
) -> None:
    failed = rows.rescue(
        rescued, "FAILED_BROKEN", alice, failure_text="<b>Driver Error</b>: no valid host"
    )
    page = as_(client, alice).get("/").content.decode()
    assert "Rescue mode failed and left the instance in error" in page
    assert "&lt;b&gt;Driver Error&lt;/b&gt;" in page
    assert f"/instances/{rescued.pk}/reboot" in page
    assert client.post(f"/rescues/{failed.pk}/dismiss").status_code == 302
    assert f'id="rescue-{failed.pk}"' not in client.get("/").content.decode()


def test_dismissing_is_for_oneself(client: Client, rescued: Instance, alice: Any, bob: Any) -> None:
    failed = rows.rescue(rescued, "FAILED_CLEAN", alice)
    answer = as_(client, alice).post(f"/rescues/{failed.pk}/dismiss", headers=HTMX)
    assert answer.status_code == 200
    assert f'id="rescue-{failed.pk}"' not in answer.content.decode()
    assert f'id="rescue-{failed.pk}"' in as_(client, bob).get("/").content.decode()


def test_an_ended_session_reloads_the_page_instead_of_filling_a_fragment(
    client: Client, db: None
) -> None:
    answer = client.get("/notifications", headers=HTMX, follow=True)
    assert answer.headers["HX-Refresh"] == "true"


def test_a_later_rescue_takes_the_place_of_an_earlier_one(
    client: Client, rescued: Instance, alice: Any
) -> None:
    earlier = rows.rescue(rescued, "FAILED_CLEAN", alice)
    later = rows.rescue(rescued, "FAILED_CLEAN", alice)
    page = as_(client, alice).get("/").content.decode()
    assert f'id="rescue-{later.pk}"' in page
    assert f'id="rescue-{earlier.pk}"' not in page
    client.post(f"/rescues/{later.pk}/dismiss")
    assert 'class="rescue ' not in client.get("/").content.decode()
