"""Starting, leaving and rebooting, from the dialogs."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from instances.models import Instance, Rescue
from teams.models import AuditEntry
from tests.instances import rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def web(teams: SimpleNamespace) -> Instance:
    account = rows.account(teams.acme)
    rows.images(account)
    return rows.instance(account)


@pytest.fixture
def door(client: Client, alice: Any, web: Instance) -> Client:
    client.force_login(alice)
    return client


def form(**changes: str) -> dict[str, str]:
    return {"image": rows.RESCUE_IMAGE, "idempotency_key": str(uuid.uuid4())} | changes


def test_the_dialog_offers_images_and_the_way_in(door: Client, web: Instance) -> None:
    page = door.get(f"/instances/{web.pk}/rescue").content.decode()
    for words in (
        "Start in rescue mode",
        "Rescue image",
        "Temporary password",
        "Recommended",
        "Show all images",
        "needs more memory",
        f"openstack server rescue --image {rows.RESCUE_IMAGE} {web.server_id}",
    ):
        assert words in page
    assert "<html" in page
    fragment = door.get(f"/instances/{web.pk}/rescue", headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'id="dialog"' in fragment


def test_it_starts_once_and_tells_the_open_page_what_changed(door: Client, web: Instance) -> None:
    sent = form()
    answers = [door.post(f"/instances/{web.pk}/rescue", sent, headers=HTMX) for _ in range(2)]
    rescue = Rescue.objects.get()
    assert (rescue.state, rescue.image_ref) == ("REQUESTED", rows.RESCUE_IMAGE)
    for answer in answers:
        assert answer.status_code == 200
        assert not answer.content
        assert f"rescue:{rescue.pk} instance:{web.pk}" in answer.headers["HX-Trigger"]


def test_without_javascript_it_goes_back_to_the_list(door: Client, web: Instance) -> None:
    answer = door.post(f"/instances/{web.pk}/rescue", form())
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/#rescue-{Rescue.objects.get().pk}"


@pytest.mark.parametrize("headers", [HTMX, {}])
@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        (form(image=""), 422, "Pick one of the images."),
        (form(image="x" * 100), 422, "Pick one of the images in the list."),
        (form(image=str(uuid.uuid4())), 422, "Pick one of the images in the list."),
        (form(image=rows.WINDOWS), 422, "This image cannot be used: needs more memory"),
        (form(idempotency_key="forged"), 400, "This form was changed on its way."),
        (form(idempotency_key=""), 400, "This form is incomplete."),
    ],
)
def test_bad_input_is_told_in_the_dialog_and_changes_nothing(
    door: Client,
    web: Instance,
    headers: dict[str, str],
    sent: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    answer = door.post(f"/instances/{web.pk}/rescue", sent, headers=headers)
    assert answer.status_code == status
    page = answer.content.decode()
    assert sentence in page
    assert 'id="dialog"' in page
    assert ("<html" in page) is not bool(headers)
    assert not Rescue.objects.exists()


def test_what_is_not_possible_now_is_told_and_the_choice_kept(
    door: Client, web: Instance, bob: Any
) -> None:
    rows.rescue(web, "WAITING", bob)
    sent = form()
    answer = door.post(f"/instances/{web.pk}/rescue", sent, headers=HTMX)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Already being put in rescue mode by Bob." in page
    assert "checked" in page
    assert sent["idempotency_key"] in page
    assert Rescue.objects.count() == 1


def test_the_key_of_somebody_elses_form_opens_nothing(
    door: Client, web: Instance, bob: Any
) -> None:
    other = rows.instance(web.account, "db-1")
    rescue = rows.rescue(other, "WAITING", bob, idempotency_key=uuid.uuid4())
    answer = door.post(
        f"/instances/{web.pk}/rescue", form(idempotency_key=str(rescue.idempotency_key))
    )
    assert answer.status_code == 409
    assert Rescue.objects.count() == 1


def test_exit_asks_first_and_then_leaves(door: Client, web: Instance, alice: Any) -> None:
    rescued = rows.rescued(web.account)
    rescue = rows.rescue(rescued, "READY", alice)
    page = door.get(f"/instances/{rescued.pk}/exit").content.decode()
    assert "Exit rescue mode" in page
    assert "umount /mnt" in page
    answer = door.post(f"/instances/{rescued.pk}/exit", headers=HTMX)
    assert answer.status_code == 200
    rescue.refresh_from_db()
    assert rescue.state == "EXIT_REQUESTED"


def test_exit_says_why_not(door: Client, web: Instance) -> None:
    sentence = "The instance is not in rescue mode."
    assert sentence in door.get(f"/instances/{web.pk}/exit").content.decode()
    answer = door.post(f"/instances/{web.pk}/exit", headers=HTMX)
    assert answer.status_code == 409
    assert sentence in answer.content.decode()


def test_hard_reboot_is_the_way_back(door: Client, web: Instance, alice: Any) -> None:
    broken = rows.instance(web.account, "mail", status="ERROR", vm_state="error")
    rescue = rows.rescue(broken, "FAILED_BROKEN", alice)
    assert "Hard reboot" in door.get("/").content.decode()
    assert "Hard reboot" in door.get(f"/instances/{broken.pk}/reboot").content.decode()
    assert door.post(f"/instances/{broken.pk}/reboot").status_code == 302
    rescue.refresh_from_db()
    assert rescue.state == "REBOOT_REQUESTED"


@pytest.mark.parametrize("action", ["rescue", "exit", "reboot"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_other_teams_get_404_and_readers_403_with_a_sentence(
    client: Client, web: Instance, carol: Any, mallory: Any, action: str, method: str
) -> None:
    url = f"/instances/{web.pk}/{action}"
    client.force_login(mallory)
    stranger = getattr(client, method)(url, form())
    assert stranger.status_code == 404
    assert "There is nothing here" in stranger.content.decode()
    client.force_login(carol)
    reader = getattr(client, method)(url, form())
    assert reader.status_code == 403
    assert "Your role may only look." in reader.content.decode()
    fragment = getattr(client, method)(url, form(), headers=HTMX).content.decode()
    assert 'id="dialog"' in fragment
    assert "<html" not in fragment
    assert not Rescue.objects.exists()
    assert not AuditEntry.objects.filter(act__startswith="rescue").exists()


def test_a_post_without_its_token_is_refused_with_a_sentence(web: Instance, alice: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    answer = strict.post(f"/instances/{web.pk}/rescue", form())
    assert answer.status_code == 403
    assert "This form is no longer valid" in answer.content.decode()
    assert not Rescue.objects.exists()


def test_a_huge_body_is_refused(door: Client, web: Instance) -> None:
    answer = door.post(f"/instances/{web.pk}/rescue", form(image="x" * 1_000_000))
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.content.decode()
    assert not Rescue.objects.exists()


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(door: Client, web: Instance, method: str) -> None:
    answer = getattr(door, method)(f"/instances/{web.pk}/rescue")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
