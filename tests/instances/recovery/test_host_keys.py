"""Host keys that people vouch for, and machines that they have tried again."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from instances import ssh
from instances.models import Machine, Rescue
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access
from instances.rescue import NotPossible
from teams.models import Team
from tests.instances import rows
from tests.services import free_port


@pytest.fixture
def unknown(system, leads_to, tried):
    """Give a machine that shows a key nobody vouched for."""
    leads_to(system.port)
    return tried()


def test_a_person_vouches_and_the_password_is_sent(unknown, rescue, alice):
    access.accept_key(rescue=rescue, fingerprint=unknown.fingerprint, by=alice)
    row = access.probe(rescue.pk)
    assert (row.reach, row.vouched_by, row.accepted_by) == (Reach.IN, "person", alice)
    assert rows.acts() == ["machine.accept_key", "machine.proven"]


@pytest.mark.parametrize("fingerprint", ["", "SHA256:other"])
def test_only_the_key_that_was_shown_is_accepted(unknown, rescue, alice, fingerprint):
    with pytest.raises(NotPossible):
        access.accept_key(rescue=rescue, fingerprint=fingerprint, by=alice)
    assert Machine.objects.get().vouched_by == ""
    assert rows.acts() == []


def test_a_key_that_was_accepted_is_not_accepted_again(unknown, rescue, alice):
    access.accept_key(rescue=rescue, fingerprint=unknown.fingerprint, by=alice)
    with pytest.raises(NotPossible):
        access.accept_key(rescue=rescue, fingerprint=unknown.fingerprint, by=alice)


def test_what_a_person_decides_while_it_is_tried_stands(unknown, rescue, alice, tried, monkeypatch):
    greet = ssh.greet

    def meanwhile(target):
        access.accept_key(rescue=rescue, fingerprint=unknown.fingerprint, by=alice)
        return greet(target)

    with monkeypatch.context() as patch:
        patch.setattr(ssh, "greet", meanwhile)
        Machine.objects.update(next_at=now())
        assert access.probe(rescue.pk) is None
    assert Machine.objects.get().vouched_by == "person"
    assert access.probe(rescue.pk).reach == Reach.IN


def test_a_page_learns_of_another_key(unknown, rescue, tried, monkeypatch):
    told_pages = []
    monkeypatch.setattr("instances.events.changed", lambda _team, topics: told_pages.append(topics))
    assert tried().reach == Reach.NEW_KEY
    assert told_pages == []  # the same as before
    other = ssh.HostKey("ssh-ed25519", "AAAA")
    monkeypatch.setattr(ssh, "greet", lambda _target: other)
    assert tried().fingerprint == other.fingerprint
    assert told_pages == [[f"machine:{rescue.pk}", f"rescue:{rescue.pk}"]]


def test_another_key_is_looked_at_afresh(unknown, rescue, alice, tried):
    tried(vouched_by="person", accepted_by=alice, host_key="AAAA", fingerprint="SHA256:before")
    assert Machine.objects.get().reach == Reach.KEY_CHANGED
    access.try_again(rescue=rescue, by=alice)
    row = Machine.objects.get()
    assert (row.reach, row.vouched_by, row.accepted_by, row.host_key) == (
        Reach.UNTRIED, "", None, "",
    )  # fmt: skip
    row = access.probe(rescue.pk)
    assert (row.reach, row.fingerprint) == (Reach.NEW_KEY, unknown.fingerprint)


def test_there_is_nothing_to_try_again_once_one_is_in(machine, alice):
    with pytest.raises(NotPossible):
        access.try_again(rescue=machine.rescue, by=alice)
    assert Machine.objects.get().is_in


def test_trying_again_goes_on_anew_from_the_start(rescue, tried, leads_to, alice):
    leads_to(free_port())
    row = tried(first_tried_at=now() - timedelta(minutes=30))
    assert row.next_at is None
    access.try_again(rescue=rescue, by=alice)
    assert access.probe(rescue.pk).may_pass


def test_who_may_read_the_password_works_on_the_machine(rescue, alice, bob, carol, mallory, sam):
    Team.objects.filter(pk=rescue.instance.team.pk).update(password_readers="requester")
    rescue = Rescue.objects.get(pk=rescue.pk)
    allowed = [who for who in (alice, bob, carol, mallory, sam) if access.may_use(rescue, who)]
    assert allowed == [alice]
    access.must_use(rescue, alice)
    for who in (bob, carol, mallory, sam):
        with pytest.raises(PermissionDenied):
            access.must_use(rescue, who)
        with pytest.raises(PermissionDenied):
            access.accept_key(rescue=rescue, fingerprint="x", by=who)
        with pytest.raises(PermissionDenied):
            access.try_again(rescue=rescue, by=who)
