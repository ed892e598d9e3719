"""A console read for a person: asked on the page, read by a worker, told in words."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from instances import cloud, consoles, events, tasks
from instances.models import ConsoleReading, Instance
from teams.models import AuditEntry
from tests.instances import console_texts as texts
from tests.instances import rows


@pytest.fixture
def web(teams):
    account = rows.account(teams.acme)
    rows.images(account)
    return rows.instance(account)


@pytest.fixture
def nudged(monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "nudge_reading", asked.append)
    return asked


@pytest.fixture
def told(monkeypatch, web, alice):
    """Have a console read that says this, or is refused so."""

    def read(said, **facts):
        class Said:
            def console_log(self, server_id, *, lines):
                assert (server_id, lines) == (web.server_id, 2000)
                if isinstance(said, Exception):
                    raise said
                return said

        monkeypatch.setattr(consoles, "open_account", lambda _account: Said())
        row = consoles.ask(instance=web, by=alice)
        consoles.read(row.pk)
        row.refresh_from_db()
        return row

    return read


def page(client, instance, **more):
    return client.get(f"/instances/{instance.pk}/console", **more).content.decode()


def test_asking_is_for_who_may_act_and_is_written_down(web, client, bob, carol, nudged):
    client.force_login(carol)
    assert "Nobody has had it read yet" in page(client, web)
    assert 'id="read-console"' not in page(client, web)
    assert client.post(f"/instances/{web.pk}/console").status_code == 403
    with pytest.raises(PermissionDenied):
        consoles.ask(instance=web, by=carol)
    assert not ConsoleReading.objects.exists() and not nudged
    client.force_login(bob)
    assert 'id="read-console"' in page(client, web)
    answer = client.post(f"/instances/{web.pk}/console")
    assert answer.status_code == 302 and [row.instance for row in nudged] == [web]
    entry = AuditEntry.objects.get(act="console.read")
    assert entry.actor == bob and web.server_id in entry.target
    waiting = page(client, web)
    assert "Asking the cloud…" in waiting and 'http-equiv="refresh"' in waiting
    # Twice in a row asks once, and opening the page asks nobody.
    again = client.post(f"/instances/{web.pk}/console", headers={"HX-Request": "true"})
    assert again.content.decode().strip().startswith(f'<div id="console-{web.pk}"')
    assert len(nudged) == 1 and AuditEntry.objects.filter(act="console.read").count() == 1


def test_the_fault_its_line_and_what_to_do_are_shown(web, told, client, carol):
    told(texts.FSTAB)
    client.force_login(carol)
    shown = page(client, web)
    assert "A file system of the fstab cannot be mounted" in shown and "very likely" in shown
    assert "Timed out waiting for device dev-disk-by" in shown
    assert f"/instances/{web.pk}/by-hand/fstab" in shown
    assert "asks for a login" not in shown
    client.cookies["django_language"] = "fr"
    assert "Timed out waiting for device" in page(client, web)


def test_hostile_lines_are_text(web, told, client, carol):
    told("Kernel panic - not syncing <script>alert(1)</script>\x1b[31m\u202e")
    client.force_login(carol)
    shown = page(client, web)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown and "<script>alert" not in shown
    assert "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (texts.HEALTHY, "it asks for a login on its console"),
        ("", "The console is empty"),
        ("one\ntwo", "Nothing the panel recognises"),
    ],
)
def test_what_is_no_fault_is_said_too(web, told, client, carol, text, words):
    told(text)
    client.force_login(carol)
    assert words in page(client, web)


def test_the_text_itself_is_not_kept(web, told):
    row = told("[4.1] rescue-setup: password of root for this boot: hunter2\n" + texts.PANIC)
    assert "hunter2" not in str(ConsoleReading.objects.values().get()) and row.found


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (cloud.Gone(), "no console of this instance"),
        (cloud.Forbidden(), "does not show consoles"),
        (cloud.Conflict(), "in this state"),
        (cloud.Broken(), "could not read the console"),
        (cloud.Silent(), "does not answer"),
        (cloud.BadCredentials(), "credentials"),
    ],
)
def test_a_refusal_is_said_plainly(web, told, client, carol, error, words):
    told(texts.PANIC)
    ConsoleReading.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    row = told(error)
    assert row.problem == error.kind and row.found == []
    client.force_login(carol)
    shown = page(client, web)
    assert words in shown and "panic" not in shown


def test_a_worker_that_never_comes_is_not_waited_for(web, client, alice, nudged):
    client.force_login(alice)
    client.post(f"/instances/{web.pk}/console")
    ConsoleReading.objects.update(asked_at=timezone.now() - timedelta(seconds=61))
    shown = page(client, web)
    assert "No worker took it in time" in shown and "Asking the cloud" not in shown
    client.post(f"/instances/{web.pk}/console")
    assert len(nudged) == 2


def test_a_doubled_message_reads_once(web, told, monkeypatch):
    row = told(texts.PANIC)
    monkeypatch.setattr(consoles, "open_account", lambda _account: pytest.fail("read again"))
    consoles.read(row.pk)
    consoles.read(row.pk + 1)


def test_the_two_systems_of_a_rescue_are_kept_apart(web, told, client, carol, alice):
    told(texts.FSTAB)
    Instance.objects.update(vm_state="rescued", status="RESCUE")
    web.refresh_from_db()
    told(texts.PANIC)
    rescue = rows.rescue(web, "READY", alice)
    client.force_login(carol)
    shown = page(client, web)
    assert shown.index("instance’s own console") < shown.index("rescue system’s console")
    assert "fstab" in shown and "panic" in shown and f"/rescues/{rescue.pk}" in shown
    Instance.objects.update(vm_state="active", status="ACTIVE")
    assert "panic" not in page(client, web)


def test_choosing_an_image_one_sees_what_was_found(web, told, client, bob, monkeypatch):
    client.force_login(bob)
    address = f"/instances/{web.pk}/rescue"
    assert "Look at its console first" in client.get(address).content.decode()
    told(texts.FULL)
    dialog = client.get(address).content.decode()
    assert "From the console, very likely: A disk is full." in dialog
    assert f"/instances/{web.pk}/console" in dialog
    ConsoleReading.objects.update(read_at=timezone.now() - timedelta(hours=13))
    assert consoles.likely(web) is None
    told_weak = {"fault": "fstab", "confidence": 1, "line": ""}
    ConsoleReading.objects.update(read_at=timezone.now(), found=[told_weak])
    assert consoles.likely(web) is None


def test_open_pages_are_told(web, told, monkeypatch):
    heard = []
    monkeypatch.setattr(events, "changed", lambda team, topics: heard.append((team, topics)))
    told(texts.HEALTHY)
    assert heard == [(web.account.team_id, [f"console:{web.pk}"])]


def test_the_demo_cloud_shows_what_ails_its_machines(demo, instance_named, alice):
    found = {}
    for name in ("web-1", "web-2", "db-replica", "cache-2", "import-2026-11"):
        row = consoles.ask(instance=instance_named(name), by=alice)
        tasks.diagnose(row.pk)
        row.refresh_from_db()
        found[name] = row.problem or [one["fault"] for one in row.found][:1] or row.booted
    assert found == {
        "web-1": True,
        "web-2": ["fstab"],
        "db-replica": ["fsck"],
        "cache-2": ["disk_full"],
        "import-2026-11": "conflict",
    }
