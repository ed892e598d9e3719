"""A row is written once for all who see the same, and anew when anything it shows differs."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from instances import events
from instances.cards import PANEL_HOLDS
from instances.models import Instance, Rescue
from instances.views.list import LIST_KEPT, Written
from instances.views.rows import Row, write
from teams.models import CloudAccount, Impersonation, Team, User
from tests.instances import rows

pytestmark = pytest.mark.django_db

CHANGES: dict[str, Any] = {
    "name": "web-2",
    "status": "SHUTOFF",
    "vm_state": "stopped",
    "task_state": "powering-off",
    "locked": True,
    "addresses": [],
    "image_id": "",
    "image_name": "Debian 13",
    "flavor_name": "b3-16",
    "fault": "No valid host",
    "launched_at": None,
    "in_rescue_since": timezone.now() - timedelta(hours=2),
}


@pytest.fixture
def row(teams: Any) -> Row:
    return Row(rows.instance(rows.account(teams.acme)), may_operate=True)


def again(row: Row, **seen_by: bool) -> Row:
    """Read the row's instance anew, as the next request does."""
    instance = Instance.objects.with_panel_data().get(pk=row.instance.pk)
    return Row(instance, **{"may_operate": True, "says_team": False} | seen_by)


def written(row: Row) -> str:
    return write("_row", row=row)


def test_what_did_not_change_is_not_written_again(row, monkeypatch):
    first = again(row).html
    monkeypatch.setattr("instances.views.rows.render_to_string", lambda *_: "written again")
    assert again(row).html == first


@pytest.mark.parametrize("column", CHANGES)
def test_a_change_of_the_machine_is_shown(row, column):
    _ = row.html
    Instance.objects.filter(pk=row.instance.pk).update(**{column: CHANGES[column]})
    fresh = again(row)
    assert fresh.html == written(fresh)
    if column not in ("vm_state", "image_id", "launched_at", "fault"):
        assert fresh.html != row.html


def test_every_column_that_is_shown_or_decides_is_tried():
    decides_nothing = set(
        "id account_id server_id power_state flavor_ram flavor_disk key_name config_drive volumes"
        " cloud_created_at seen_at listed_at cloud_updated_at deleted_at search_text".split()
    )
    columns = {field.attname for field in Instance._meta.concrete_fields}
    assert columns == decides_nothing | CHANGES.keys()


def test_a_rescue_its_moves_and_its_end_are_shown(row, alice):
    _ = row.html
    rescue = rows.rescue(row.instance, "REQUESTED", alice)
    asked = again(row)
    assert "Already being put in rescue mode by" in asked.html
    User.objects.filter(pk=alice.pk).update(name="Alice Liddell")
    assert "Alice Liddell" in again(row).html
    rescue.move("READY")
    assert again(row).html != asked.html
    Rescue.objects.all().delete()
    assert again(row).html == row.html


def test_a_broken_rescue_offers_the_way_back(row, alice):
    Instance.objects.filter(pk=row.instance.pk).update(vm_state="error", status="ERROR")
    before = again(row)
    assert "Hard reboot" not in before.html
    rows.rescue(row.instance, "FAILED_BROKEN", alice)
    assert "Hard reboot" in again(row).html


def test_names_around_it_the_language_and_the_role_are_shown(row):
    seen = {row.html}
    CloudAccount.objects.update(name="renamed")
    seen.add(again(row).html)
    CloudAccount.objects.update(region_name="SBG5")
    seen.add(again(row).html)
    seen.add(again(row, says_team=True).html)
    Team.objects.filter(pk=row.instance.team.pk).update(name="Renamed")
    seen.add(again(row, says_team=True).html)
    assert len(seen) == 5
    as_it_is = again(row).html
    assert again(row, may_operate=False).html != as_it_is
    assert again(row, picking=True).html != as_it_is
    with translation.override("fr"):
        assert again(row).html != as_it_is


def test_an_age_goes_on(row, monkeypatch):
    now = timezone.now()
    Instance.objects.update(in_rescue_since=now - timedelta(hours=2))
    _ = again(row).html
    monkeypatch.setattr("django.utils.timezone.now", lambda: now + timedelta(minutes=7))
    later = again(row)
    assert later.html == written(later)
    assert 'data-seconds="7620"' in later.html


def test_the_list_asks_as_often_for_many_as_for_few(client: Client, teams, alice):
    client.force_login(alice)
    account = rows.account(teams.acme)

    def asked() -> int:
        caches["rows"].clear()
        caches["lists"].clear()
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/").status_code == 200
        return len(queries)

    for n in range(PANEL_HOLDS):  # each card on its way asks how long such rescues take
        rows.rescue(rows.instance(account, f"few-{n}"), "WAITING", alice)
    asked()
    few = asked()
    for n in range(60):
        rows.rescue(rows.instance(account, f"many-{n}"), "WAITING", alice)
    assert asked() == few


# The whole list, for who comes within seconds -----------------------------------------------------


@pytest.fixture
def revision(monkeypatch):
    """Let the test say by which word the team's rows are known."""
    said = ["1"]
    monkeypatch.setattr(events, "watch", lambda teams: said[0])
    return said


def test_who_comes_next_sees_the_list_as_written_until_a_change_is_announced(
    client, teams, alice, revision
):
    client.force_login(alice)
    made = rows.instance(rows.account(teams.acme))
    assert "web-1" in client.get("/").content.decode()
    Instance.objects.filter(pk=made.pk).update(name="web-2")
    assert "web-2" not in client.get("/").content.decode()
    revision[0] = "2"
    assert "web-2" in client.get("/").content.decode()


def test_nothing_is_kept_while_nobody_can_tell_of_changes(client, teams, alice, revision):
    revision[0] = ""
    client.force_login(alice)
    made = rows.instance(rows.account(teams.acme))
    assert "web-1" in client.get("/").content.decode()
    Instance.objects.filter(pk=made.pk).update(name="web-2")
    assert "web-2" in client.get("/").content.decode()


def test_others_see_their_own(client, teams, alice, carol, mallory, revision):
    rows.instance(rows.account(teams.acme))
    start = "/rescue"
    seen = {}
    for person in (alice, carol, mallory):
        client.force_login(person)
        seen[person.name] = client.get("/").content.decode()
    assert "web-1" in seen["Alice"] and start in seen["Alice"]
    assert "web-1" in seen["Carol"] and "Your role may only look." in seen["Carol"]
    assert "web-1" not in seen["Mallory"]
    client.force_login(alice)
    found = client.get("/?q=nothing-like-it").content.decode()
    assert "web-1" not in found
    assert "No instance matches" in found


def test_a_list_with_an_age_is_kept_for_a_second(client, teams, alice, revision, monkeypatch):
    client.force_login(alice)
    rows.rescued(rows.account(teams.acme), "mail")
    kept_for = []

    def note(_key, made, seconds):
        if isinstance(made, Written):  # other things are kept too
            kept_for.append(seconds)

    monkeypatch.setattr(caches["lists"], "set", note)
    client.get("/")
    Instance.objects.update(in_rescue_since=None)
    client.get("/")
    assert kept_for == [1, LIST_KEPT]


def test_each_announcement_but_of_a_mere_reading_is_another_revision(db, redis_server, settings):
    settings.REDIS_URL = redis_server.url
    events.connection.cache_clear()
    try:
        told = [events.watch([7])]
        for topics in (["list"], ["seen:3"], ["instance:4", "seen:3"], ["rescue:5"]):
            events._publish(7, topics)
            told.append(events.watch([7]))
        events._publish(8, ["list"])
        assert events.watch([7]) == told[-1]
    finally:
        events.connection.cache_clear()
    assert told[1] == told[2]
    assert len(set(told)) == 4


def test_staff_who_begin_to_act_are_told_of_on_the_next_page(client, teams, alice, sam, revision):
    client.force_login(alice)
    rows.instance(rows.account(teams.acme))
    notice = 'aria-label="Staff access"'
    assert notice not in client.get("/").content.decode()
    Impersonation.objects.create(
        staff=sam, customer=alice, reason="Ticket 4711",
        started_at=timezone.now(), until=timezone.now() + timedelta(minutes=30),
    )  # fmt: skip
    assert notice not in client.get("/").content.decode()  # nothing was announced yet
    assert notice in client.get("/acting").content.decode()
    revision[0] = "2"
    assert notice in client.get("/").content.decode()


def test_an_empty_panel_is_asked_for_again_when_a_change_was_announced(
    client, teams, alice, bob, revision
):
    client.force_login(alice)
    made = rows.rescued(rows.account(teams.acme), "mail")
    rows.rescue(made, "READY", alice)
    Rescue.objects.update(ended_at=timezone.now() - timedelta(days=2), state="CLOSED")
    article = f'data-machine="{made.pk}"'
    assert article not in client.get("/").content.decode()
    Rescue.objects.update(ended_at=None, state="READY")
    assert article not in client.get("/").content.decode()
    assert article in client.get("/notifications").content.decode()  # the page's own refresh
    revision[0] = "2"
    assert article in client.get("/").content.decode()


def test_one_persons_empty_panel_says_nothing_of_anothers(client, teams, alice, bob, revision):
    client.force_login(alice)
    made = rows.rescued(rows.account(teams.acme), "mail")
    rows.rescue(made, "READY", alice).dismissals.create(user=alice)
    assert f'data-machine="{made.pk}"' not in client.get("/").content.decode()
    client.force_login(bob)
    assert f'data-machine="{made.pk}"' in client.get("/").content.decode()
