"""How far one gets into a machine: doors that are real, in every state a door can be in."""

import socket
import threading
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from instances import ssh
from instances.cloud import CloudError
from instances.models import Machine, Rescue
from instances.models.clock import now
from instances.models.machine import Reach
from instances.recovery import access
from teams.models import AuditEntry
from tests import sshd
from tests.instances import rows
from tests.services import free_port


@pytest.fixture(scope="module")
def keys_only(tmp_path_factory):
    """Give a server that takes no password; anybody may run it."""
    if not sshd.program():
        pytest.skip("OpenSSH's server is not installed: apt-get install openssh-server")
    served = sshd.Sshd(
        tmp_path_factory.mktemp("keys-only"),
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
    )
    yield served
    served.stop()


@contextmanager
def talker(words):
    """Serve something that says these words and hangs up."""

    def serve():
        while True:
            try:
                peer, _address = listening.accept()
            except OSError:
                return
            with peer:
                peer.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


# Every state of a door ----------------------------------------------------------------------------


def test_in_with_the_password_when_the_console_vouches(system, leads_to, tried):
    leads_to(system.port)
    row = tried(printed=["SHA256:other", system.fingerprint()])
    assert (row.reach, row.vouched_by, row.fingerprint) == (
        Reach.IN, "console", system.fingerprint(),
    )  # fmt: skip
    assert (row.address, row.port) == ("127.0.0.1", system.port)
    assert row.proven_at and row.first_tried_at and row.next_at is None
    assert row.is_in and not row.may_pass
    assert rows.acts() == ["machine.proven"]
    assert sshd.PASSWORD not in str(AuditEntry.objects.get().__dict__)


def test_a_key_nobody_vouches_for_gets_no_password(keys_only, leads_to, tried, monkeypatch):
    monkeypatch.setattr(ssh, "connect", lambda *_given: pytest.fail("connected"))
    leads_to(keys_only.port)
    row = tried()
    assert (row.reach, row.fingerprint, row.vouched_by) == (
        Reach.NEW_KEY, keys_only.fingerprint(), "",
    )  # fmt: skip
    assert row.next_at - now() < timedelta(seconds=4)  # the console may yet show it
    assert rows.acts() == []


def test_only_a_key(keys_only, leads_to, tried):
    leads_to(keys_only.port)
    row = tried(printed=[keys_only.fingerprint()])
    assert (row.reach, row.next_at) == (Reach.KEY_ONLY, None)


def test_the_password_is_refused_and_may_be_set_late(system, leads_to, tried, rescue):
    leads_to(system.port)
    Rescue.objects.update(sealed_password=rescue.sealed("another"))
    row = tried(printed=[system.fingerprint()])
    assert row.reach == Reach.REFUSED
    assert row.may_pass
    row = tried(first_tried_at=now() - timedelta(seconds=61))
    assert (row.reach, row.next_at) == (Reach.REFUSED, None)


def test_nothing_of_the_password_goes_to_another_host_key(system, leads_to, tried, monkeypatch):
    leads_to(system.port)
    monkeypatch.setattr(Rescue, "password", lambda _row: "canary-password")
    entered = []
    monkeypatch.setattr("instances.ssh.door._enter", lambda *_given: entered.append(1))
    other = ssh.greet(ssh.Target("127.0.0.1", system.port, ("127.0.0.0/8",)))
    row = tried(vouched_by="console", host_key_kind=other.kind, host_key="AAAA", fingerprint="x")
    assert (row.reach, row.next_at) == (Reach.KEY_CHANGED, None)
    assert entered == []


def test_nobody_listens(leads_to, tried):
    leads_to(free_port())
    row = tried()
    assert row.reach == Reach.CLOSED
    assert row.may_pass


def test_no_way_there(rescue, tried):
    rescue.instance.addresses[0]["address"] = "255.255.255.255"  # no connection leads there
    rescue.instance.save()
    assert tried().reach == Reach.SILENT


def test_what_answers_is_no_ssh_server(leads_to, tried):
    with talker(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200) as port:
        leads_to(port)
        row = tried()
    assert row.reach == Reach.TROUBLE
    assert row.may_pass


def test_an_address_the_operator_has_not_allowed(rescue, tried, monkeypatch):
    monkeypatch.setattr("instances.ssh.door.Wire", lambda *_given: pytest.fail("connected"))
    account = rescue.instance.account
    account.machine_networks = "10.0.0.0/8"
    account.save()
    row = tried()
    assert (row.reach, row.next_at) == (Reach.NOT_ALLOWED, None)


def test_no_address(rescue, tried):
    rescue.instance.addresses = []
    rescue.instance.save()
    row = tried()
    assert (row.reach, row.address, row.next_at) == (Reach.NO_ADDRESS, "", None)


@pytest.mark.parametrize(
    ("way", "reach"), [("key", Reach.KEY_ONLY), ("console", Reach.NO_PASSWORD)]
)
def test_an_image_that_takes_no_password_is_not_offered_one(
    keys_only, leads_to, tried, rescue, monkeypatch, way, reach
):
    monkeypatch.setattr(ssh, "connect", lambda *_given: pytest.fail("connected"))
    leads_to(keys_only.port)
    Rescue.objects.update(access=way)
    assert tried(printed=[keys_only.fingerprint()]).reach == reach


def test_a_password_whose_key_is_gone(keys_only, leads_to, tried, rescue):
    leads_to(keys_only.port)
    Rescue.objects.update(sealed_password="of another row")
    assert tried(printed=[keys_only.fingerprint()]).reach == Reach.NO_PASSWORD


def test_every_word_of_the_door_has_its_state():
    """What is not listed is trouble: it answers, and one cannot log in."""
    listed = {access.REACH_OF.get(kind.code, Reach.TROUBLE) for kind in errors()}
    assert {*access.REACH_OF} <= {kind.code for kind in errors()}
    assert listed == {*access.REACH_OF.values(), Reach.TROUBLE}


def errors(kind=ssh.SshError):
    return [kind, *(deeper for one in kind.__subclasses__() for deeper in errors(one))]


# Pace ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "after", "wait"),
    [
        (Reach.CLOSED, 0, 1),
        (Reach.CLOSED, 179, 1),
        (Reach.SILENT, 5, 1),
        (Reach.SILENT, 30, 5),
        (Reach.TROUBLE, 150, 20),
        (Reach.SILENT, 181, 20),
        (Reach.TROUBLE, 19 * 60, 20),
        (Reach.CLOSED, 20 * 60, None),
        (Reach.REFUSED, 0, 1),
        (Reach.REFUSED, 54, 9),
        (Reach.REFUSED, 61, None),
        (Reach.NEW_KEY, 0, 4),
        (Reach.NEW_KEY, 89, 4),
        (Reach.NEW_KEY, 90, None),
        (Reach.KEY_CHANGED, 0, None),
        (Reach.KEY_ONLY, 0, None),
        (Reach.NOT_ALLOWED, 0, None),
        (Reach.NO_ADDRESS, 0, None),
        (Reach.NO_PASSWORD, 0, None),
        (Reach.IN, 0, None),
    ],
)
def test_it_is_tried_often_then_seldom_then_left_to_people(reach, after, wait):
    moment = timezone.now()
    row = Machine(reach=reach, first_tried_at=moment - timedelta(seconds=after))
    expected = None if wait is None else moment + timedelta(seconds=wait)
    assert access._next(row, moment) == expected


# By the clock -------------------------------------------------------------------------------------


def test_it_is_attended_once_when_it_is_ready(rescue, teams, alice):
    waiting = rows.rescue(rows.instance(rescue.instance.account, "web-3"), "WAITING", alice)
    outside = rows.rescue(rows.instance(rescue.instance.account, "web-4"), "EXTERNAL", None)
    Rescue.objects.filter(pk=outside.pk).update(image_ref="")
    assert access.unattended() == [rescue.pk]
    assert access.attend(rescue.pk)
    assert not access.attend(rescue.pk)
    assert not access.attend(waiting.pk)
    assert not access.attend(outside.pk)
    assert access.unattended() == []
    assert access.due() == [rescue.pk]


def test_two_workers_do_not_try_it_at_once(rescue):
    access.attend(rescue.pk)
    assert Machine.objects.claim(rescue.pk)
    assert Machine.objects.claim(rescue.pk) is None
    assert access.probe(rescue.pk) is None
    assert access.due() == []
    Machine.objects.update(lease_until=now() - timedelta(seconds=1))  # the worker died
    assert access.due() == [rescue.pk]
    assert Machine.objects.claim(rescue.pk)


def test_the_machine_of_a_rescue_that_is_over_is_left_alone(rescue):
    access.attend(rescue.pk)
    Rescue.objects.update(state="CLOSED")
    assert access.due() == []
    assert access.probe(rescue.pk) is None
    assert Machine.objects.get().next_at is None
    assert not access.read_console(rescue.pk)


BLOCK = (
    "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 SHA256:{print} root@rescue (ED25519)\n"
    "-----END SSH HOST KEY FINGERPRINTS-----\n"
)


def test_the_console_vouches_once_for_a_key_it_prints(rescue, monkeypatch):
    printed = "A" * 43
    shown = SimpleNamespace(console_log=lambda _server, lines: BLOCK.replace("{print}", printed))
    monkeypatch.setattr(access, "open_account", lambda _account: shown)
    access.attend(rescue.pk)
    Machine.objects.update(next_at=None)
    assert access.read_console(rescue.pk)
    row = Machine.objects.get()
    assert row.printed == [f"SHA256:{printed}"]
    assert row.console_read_at and row.next_at <= now()
    assert not access.read_console(rescue.pk)
    shown.console_log = lambda _server, lines: "no keys"
    assert not access.read_console(rescue.pk)
    assert Machine.objects.get().printed == [f"SHA256:{printed}"]


def test_a_console_that_cannot_be_read_vouches_for_nothing(rescue, monkeypatch):
    def away(_account):
        raise CloudError("away")

    monkeypatch.setattr(access, "open_account", away)
    access.attend(rescue.pk)
    assert not access.read_console(rescue.pk)
    assert Machine.objects.get().console_read_at is None


# Shut out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reach", "again"),
    [
        (ssh.HostKeyChanged("SHA256:x"), Reach.KEY_CHANGED, False),
        (ssh.AuthRefused(), Reach.REFUSED, True),
        (ssh.PortClosed(), Reach.CLOSED, True),
        (ssh.Silent(), Reach.SILENT, True),
        (ssh.TimedOut(), Reach.IN, False),  # it was inside
        (ssh.NoSpace(), Reach.IN, False),
        (ssh.Gone(), Reach.IN, False),
    ],
)
def test_a_machine_that_lets_nobody_in_any_more_is_called_so(rescue, error, reach, again):
    access.attend(rescue.pk)
    Machine.objects.update(reach=Reach.IN, next_at=None)
    access.shut_out(Machine.objects.get(), error)
    row = Machine.objects.get()
    assert (row.reach, row.may_pass) == (reach, again)
    assert str(row) == f"{rescue.pk} {reach}"
