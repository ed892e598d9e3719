"""A password that the rescue system prints: read on the console, sealed, and proven by a login."""

from datetime import timedelta

import pytest

from instances import tasks
from instances.models import ImageProfile, Machine, Rescue
from instances.models.clock import now
from instances.picker import Access
from instances.recovery import access
from teams.models import AuditEntry
from tests import sshd
from tests.instances import console_texts as texts
from tests.instances.conftest import drive

LINE = r"password of root for this boot: (.+)"


@pytest.fixture
def printing(rescue, monkeypatch):
    """Give the rescue an image that prints a password; what the console shows is given later."""
    ImageProfile.objects.create(image=rescue.image_name, printed_line=LINE)
    Rescue.objects.update(access="console")
    rescue.refresh_from_db()
    shown = {"text": texts.KERNEL}

    class Said:
        def console_log(self, server_id, *, lines):
            return shown["text"]

    monkeypatch.setattr(access, "open_account", lambda _account: Said())
    return shown


def test_it_is_kept_sealed_and_nowhere_else(rescue, printing):
    access.attend(rescue.pk)
    assert not access.read_console(rescue.pk)
    printing["text"] += f"[4.1] rescue-setup: password of root for this boot: {sshd.PASSWORD}\n"
    assert access.read_console(rescue.pk)
    row = Rescue.objects.get()
    assert row.password_printed and row.password() == sshd.PASSWORD
    everything = str([list(model.objects.values()) for model in (Rescue, Machine, AuditEntry)])
    assert sshd.PASSWORD not in everything
    assert AuditEntry.objects.filter(act="password.printed").count() == 1
    assert not access.read_console(rescue.pk)  # the same again is no news
    assert Rescue.objects.get().version == row.version


def test_it_is_tried_and_the_page_says_where_it_is_from(
    rescue, printing, tried, system, leads_to, client, alice
):
    leads_to(system.port)
    printing["text"] += f"[4.1] rescue-setup: password of root for this boot: {sshd.PASSWORD}\n"
    before = tried(vouched_by="console", fingerprint=system.fingerprint(),
                   host_key_kind="ssh-ed25519", host_key=_host_key(system))  # fmt: skip
    assert before.reach == "no_password" and before.next_at
    access.read_console(rescue.pk)
    assert tried().reach == "in"
    client.force_login(alice)
    card = client.get("/notifications", headers={"HX-Request": "true"}).content.decode()
    assert "Read on the console" in card and sshd.PASSWORD not in card
    assert "With the password that was read on the console." in card


def _host_key(system):
    return (system.folder / "host_ed25519.pub").read_text().split()[1]


def test_it_is_waited_for_and_given_up(rescue, printing, tried, system, leads_to, monkeypatch):
    leads_to(system.port)
    vouched = {"vouched_by": "console", "host_key_kind": "ssh-ed25519",
               "host_key": _host_key(system)}  # fmt: skip
    assert tried(**vouched).next_at
    sent = []
    monkeypatch.setattr(tasks, "_send", lambda task, *_more, **_named: sent.append(task.name))
    Machine.objects.update(next_at=now())
    tasks.probe(str(rescue.pk))
    assert [name.rpartition(".")[2] for name in sent] == ["read_console"]
    assert tried(first_tried_at=now() - timedelta(seconds=91)).next_at is None
    ImageProfile.objects.all().delete()
    assert tried(first_tried_at=now()).next_at is None


def test_other_images_consoles_are_not_searched(rescue, printing):
    Rescue.objects.update(access="password")
    printing["text"] += "[4.1] rescue-setup: password of root for this boot: x\n"
    access.attend(rescue.pk)
    assert not access.read_console(rescue.pk)
    assert Rescue.objects.get().password() == sshd.PASSWORD


def test_the_demo_clouds_console_image_lets_one_in(demo, instance_named, start):
    from instances import choices

    ImageProfile.objects.create(image="SystemRescue*", printed_line=LINE)
    web = instance_named("web-1")
    image = next(c for c in choices.picker_for(web).choices if c.name.startswith("SystemRescue"))
    assert image.access == Access.CONSOLE
    row = drive(start("web-1", image_ref=image.ref))
    made = row.password()
    access.attend(row.pk)
    assert access.read_console(row.pk)
    row.refresh_from_db()
    assert row.password_printed and row.password() and row.password() != made
