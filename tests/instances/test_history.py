"""An instance's history: the panel's entries and the cloud's own, merged, and how old it is."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from instances import history, tasks
from instances.history import History
from instances.models import CloudHistory, Instance, Rescue
from teams import audit
from teams.models import CloudAccount
from tests.instances import rows
from tests.instances.conftest import drive


def address(instance):
    return f"/instances/{instance.pk}/history"


def act(action, minutes, user="u-9", request="req-9", failed=False):
    at = (timezone.now() - timedelta(minutes=minutes)).isoformat()
    return {"action": action, "at": at, "user_id": user, "request_id": request, "failed": failed}


@pytest.fixture
def told(teams, alice, bob, sam):
    """Give an instance of which panel and cloud have something to tell."""
    instance = rows.rescued(rows.account(teams.acme, user_id="u-1"))
    rows.rescue(instance, "READY", bob, request_id="req-1", called_at=timezone.now())
    bob.acted_by = sam
    target = f"{instance} ({instance.server_id})"
    audit.record("rescue.start", team=teams.acme, target=target, actor=bob, reason="T-1")
    audit.record("rescue.start", team=teams.other, target=target, reason="of another team")
    audit.record("rescue.start", team=teams.acme, target="web-2 (other)", reason="of another one")
    acts = [
        act("rescue", 1, "u-1", "req-1"),
        act("reboot", 2, "u-1", "req-2", failed=True),
        act("lock", 3, "u-2\x1b", "req-3"),
        act("evacuate", 4, "", "req-4"),
        act("some<new>", 5),
    ]
    CloudHistory.objects.create(instance=instance, acts=acts, read_at=timezone.now())
    return instance


@pytest.fixture
def nudged(monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "nudge_history", asked.append)
    return asked


def test_both_stories_make_one(told):
    lines = History(told).lines
    assert [line.source for line in lines] == ["panel"] + 5 * ["cloud"]
    assert [str(line.words) for line in lines] == [
        "Asked for rescue mode",
        "Put into rescue mode",
        "Rebooted",
        "Locked",
        "Moved away from a host that failed",
        "some<new>",
    ]
    assert [line.whose for line in lines[1:]] == ["panel", "account", "other", "cloud", "other"]
    assert (lines[0].who, lines[0].staff, lines[1].who) == ("Bob", "Sam", "Bob")
    assert [line.failed for line in lines] == [False, False, True, False, False, False]


def test_the_page_says_whose_action_it_was(told, client, carol, nudged):
    client.force_login(carol)
    page = client.get(address(told)).content.decode()
    for words in (
        "by the panel, for Bob",
        "by the cloud user the panel works as",
        "by somebody else, not in the panel",
        "by the cloud itself",
        "by Sam, staff",
        "some&lt;new&gt;",
        "req-4",
        "u-2\\x1b",
        "T-1",
    ):
        assert words in page, words
    assert "of another" not in page and "\x1b" not in page
    assert "Asked the cloud at" in page and "UTC" in page
    assert nudged == []  # it was read just now


def test_an_open_page_gets_the_part_that_changes(told, client, carol, nudged):
    client.force_login(carol)
    fragment = client.get(address(told), headers={"HX-Request": "true"}).content.decode()
    assert fragment.strip().startswith(f'<section id="history-{told.pk}"')


def test_opening_it_has_the_cloud_asked_once(teams, client, carol, nudged):
    instance = rows.instance(rows.account(teams.acme))
    client.force_login(carol)
    for _turn in range(3):
        page = client.get(address(instance)).content.decode()
    assert nudged == [instance.pk]
    assert "Asking the cloud…" in page and "Nothing is known yet" in page
    CloudHistory.objects.update(asked_at=timezone.now() - timedelta(seconds=11))
    client.get(address(instance))
    assert len(nudged) == 2


def test_two_at_once_ask_once(teams, monkeypatch):
    instance = rows.instance(rows.account(teams.acme))
    row = CloudHistory.objects.create(instance=instance)
    CloudHistory.objects.update(asked_at=timezone.now() - timedelta(seconds=60))
    stale = CloudHistory.objects.get(pk=row.pk)
    assert history.wanted(instance)
    monkeypatch.setattr(CloudHistory.objects, "get_or_create", lambda **_more: (stale, False))
    assert not history.wanted(instance)


def test_the_worker_reads_what_the_cloud_says(demo, instance_named, start, client, alice):
    row = drive(start("web-1"))
    assert row.state == "READY"
    instance = instance_named("web-1")
    tasks.read_history(instance.pk)
    kept = CloudHistory.objects.get(instance=instance)
    assert [act["action"] for act in kept.acts][:1] == ["rescue"] and kept.read_at
    assert not kept.problem
    newest = next(line for line in History(instance).lines if line.source == "cloud")
    assert newest.whose == "panel" and newest.who == "Alice"
    client.force_login(alice)
    page = client.get(address(instance)).content.decode()
    assert "by the panel, for Alice" in page
    assert len(re.findall(r'<li class="by-panel">', page)) >= 2  # asked for, in rescue mode


def test_a_cloud_that_does_not_answer_is_said(demo, synced, instance_named, told, client, alice):
    CloudAccount.objects.filter(pk=told.account_id).update(auth_url="http://127.0.0.1:1/v3")
    account = CloudAccount.objects.get(pk=told.account_id)
    account.keep_credential(
        {
            "auth_type": "v3applicationcredential",
            "auth": {
                "auth_url": "http://127.0.0.1:1/v3",
                "application_credential_id": "x",
                "application_credential_secret": "x",
            },
        }
    )
    history.read(told.pk)
    kept = CloudHistory.objects.get(instance=told)
    assert kept.problem and len(kept.acts) == 5
    client.force_login(alice)
    page = client.get(address(told)).content.decode()
    assert "What you see is what it last told" in page and "Rebooted" in page


def test_an_instance_the_cloud_forgot(demo, instance_named, client, alice):
    instance = instance_named("web-1")
    Instance.objects.filter(pk=instance.pk).update(server_id="00000000-0000-0000-0000-000000000000")
    history.read(instance.pk)
    client.force_login(alice)
    page = client.get(address(instance)).content.decode()
    assert "no longer knows this instance" in page


def test_an_instance_that_left_meanwhile_is_nobodys_concern(db):
    history.read(12345)
    assert not CloudHistory.objects.exists()


def test_the_menu_leads_to_it(told, client, carol):
    client.force_login(carol)
    assert f'href="{address(told)}"' in client.get("/").content.decode()


def test_it_costs_the_same_with_many(told, client, carol, nudged, django_assert_max_num_queries):
    for number in range(50):
        audit.record("rescue.ready", team=told.team, target=f"{told} ({told.server_id})", n=number)
    client.force_login(carol)
    with django_assert_max_num_queries(25):
        client.get(address(told))
    assert Rescue.objects.count() == 1
