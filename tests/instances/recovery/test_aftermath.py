"""Whether a machine starts again after its rescue: by console, by port, or not to be known."""

from datetime import timedelta

import pytest

from instances import cloud, ssh, tasks
from instances.models import BootCheck, Instance, Machine, Rescue
from instances.models.clock import now
from instances.recovery import aftermath
from teams.models import AuditEntry
from tests import sshd
from tests.instances import console_texts as texts
from tests.instances import rows
from tests.instances.conftest import drive, later


@pytest.fixture
def left(rescue):
    """Give a rescue that was just left."""
    Instance.objects.update(vm_state="active", status="ACTIVE")
    Rescue.objects.update(state="CLOSED", ended_at=now(), sealed_password="")
    rescue.refresh_from_db()
    assert aftermath.begin(rescue.pk)
    return rescue


@pytest.fixture
def shows(monkeypatch, left):
    """Have the console read while it shows this, so many seconds after the one before."""

    def look(said, seconds=0):
        class Said:
            def console_log(self, server_id, *, lines):
                if isinstance(said, Exception):
                    raise said
                return said

        monkeypatch.setattr(aftermath, "open_account", lambda _account: Said())
        row = BootCheck.objects.get()
        earlier = {"begun_at": row.begun_at - timedelta(seconds=seconds), "next_at": now()}
        if row.fault_since:
            earlier["fault_since"] = row.fault_since - timedelta(seconds=seconds)
        BootCheck.objects.filter(ended_at=None).update(**earlier)
        aftermath.look(left.pk)
        row.refresh_from_db()
        return row

    return look


def card(client, user):
    client.force_login(user)
    return client.get("/notifications", headers={"HX-Request": "true"}).content.decode()


def test_a_login_prompt_says_that_it_starts(shows, client, alice, left):
    assert shows(texts.KERNEL).watching
    assert "Watching whether it starts again…" in card(client, alice)
    row = shows(texts.HEALTHY, 5)
    assert (row.state, row.shown_by, row.next_at) == ("up", "console", None)
    assert "its console asks for a login" in card(client, alice)
    assert AuditEntry.objects.get(act="boot.up").details["shown_by"] == "console"
    page = client.get(f"/rescues/{left.pk}").content.decode()
    assert "Seen to start again" in page and "its console asks for a login" in page
    assert "Seen to start again" in client.get(f"/rescues/{left.pk}/report").content.decode()


def test_a_fault_that_stays_is_told_with_a_way_back(shows, client, alice, left):
    assert shows(texts.FSTAB).watching
    assert shows(texts.FSTAB, 29).watching
    row = shows(texts.FSTAB, 2)
    assert (row.state, row.fault) == ("fault", "fstab") and "Timed out waiting" in row.line
    shown = card(client, alice)
    assert "It does not start: A file system of the fstab cannot be mounted." in shown
    assert "Timed out waiting" in shown and "Start in rescue mode again" in shown
    assert f"/instances/{left.instance_id}/rescue" in shown
    assert shows(texts.HEALTHY, 9).state == "fault"  # it is over


def test_a_mount_that_may_fail_is_no_fault_once_it_starts(shows):
    assert shows(texts.FSTAB).watching
    assert shows(texts.FSTAB + texts.LOGIN, 40).state == "up"
    assert BootCheck.objects.get().fault == ""


def test_another_fault_counts_from_its_own_beginning(shows):
    shows(texts.FSTAB)
    assert shows(texts.PANIC, 31).watching
    assert shows(texts.PANIC, 31).fault == "kernel_panic"


@pytest.mark.parametrize(
    ("said", "port", "words"),
    [
        ("", "not_allowed", "Its console stays empty. The panel does not connect to its address."),
        (texts.KERNEL, "port_closed", "shows no login prompt. SSH does not answer."),
        (cloud.Forbidden(), "no_address", "does not show consoles"),
        (cloud.Gone(), "rescue_key", "the host key of the rescue system"),
        (cloud.Silent(), "", "does not answer"),
    ],
)
def test_what_cannot_be_known_is_said(shows, client, alice, said, port, words):
    assert shows(said).watching
    BootCheck.objects.update(port=port)
    assert shows(said, 299).watching
    row = shows(said, 2)
    assert row.state == "unseen" and AuditEntry.objects.filter(act="boot.unseen").exists()
    shown = card(client, alice)
    assert "did not see whether it starts again" in shown and words in shown


def test_a_machine_rescued_again_is_no_longer_watched(shows, left):
    Instance.objects.update(vm_state="rescued")
    assert (shows(texts.HEALTHY).state, BootCheck.objects.get().console) == ("unseen", "over")


def test_only_what_was_just_left_is_watched_and_once(rescue, left):
    assert not aftermath.begin(left.pk) and aftermath.unwatched() == []
    BootCheck.objects.all().delete()
    assert aftermath.unwatched() == [left.pk]
    Rescue.objects.update(ended_at=now() - timedelta(minutes=3))
    assert aftermath.unwatched() == [] and not aftermath.begin(left.pk)
    Rescue.objects.update(ended_at=now(), state="ENDED_OUTSIDE")
    assert not aftermath.begin(left.pk)


def test_two_workers_make_one_look(shows, left):
    shows(texts.KERNEL)
    assert BootCheck.objects.claim(left.pk, now()) is None  # not due
    assert aftermath.look(left.pk) is None
    BootCheck.objects.update(next_at=now())
    assert aftermath.due() == [left.pk]


# The port -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Give an SSH server."""
    if not sshd.program():
        pytest.skip("OpenSSH's server is not installed: apt-get install openssh-server")
    served = sshd.Sshd(tmp_path_factory.mktemp("started-again"))
    yield served
    served.stop()


def test_ssh_that_answers_says_that_it_starts(left, leads_to, server, client, alice):
    leads_to(server.port)
    aftermath.knock(left.pk)
    row = BootCheck.objects.get()
    assert (row.state, row.shown_by) == ("up", "port")
    assert "SSH answers" in card(client, alice)
    aftermath.knock(left.pk)
    assert AuditEntry.objects.filter(act="boot.up").count() == 1


def test_the_rescue_systems_own_key_says_nothing(left, leads_to, server):
    leads_to(server.port)
    rows.machine(left, fingerprint=server.fingerprint())
    aftermath.knock(left.pk)
    row = BootCheck.objects.get()
    assert row.watching and row.port == "rescue_key"


def test_where_the_panel_may_not_go_it_does_not_knock(left, server, leads_to, monkeypatch):
    leads_to(server.port)
    account = left.instance.account
    account.machine_networks = ""
    account.save()
    aftermath.knock(left.pk)
    assert BootCheck.objects.get().port == "not_allowed"
    monkeypatch.setattr(ssh, "greet", lambda _target: pytest.fail("knocked"))
    aftermath.knock(left.pk)
    Instance.objects.update(addresses=[])
    BootCheck.objects.update(port="")
    aftermath.knock(left.pk)
    assert BootCheck.objects.get().port == "no_address"


# The way of it ------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch):
    """Collect what would go to the workers."""
    messages = []

    def collect(task):
        name = task.name.rpartition(".")[2]
        monkeypatch.setattr(task, "apply_async", lambda args, **_more: messages.append(name))

    for task in (tasks.drive, tasks.watch_boot, tasks.knock, tasks.read_console, tasks.probe):
        collect(task)
    return messages


def test_an_exit_is_watched_to_its_end(demo, start, alice, sent):
    from instances import rescue as use_cases

    row = drive(start("web-1"))
    assert row.state == "READY" and Machine.objects.count() == 0
    use_cases.request_exit(instance=row.instance, by=alice)
    while not Rescue.objects.get(pk=row.pk).is_ended:
        later(row)
        tasks.drive(str(row.pk))
    row.refresh_from_db()
    assert row.state == "CLOSED"
    assert sent.count("watch_boot") == 1
    tasks.watch_boot(str(row.pk))
    assert BootCheck.objects.get().state == "up"
    assert "knock" not in sent


def test_what_still_starts_is_looked_at_again_and_knocked_at(left, shows, sent):
    shows(texts.KERNEL)
    BootCheck.objects.update(next_at=now())
    tasks.watch_boot(str(left.pk))
    assert sent == ["knock", "watch_boot"]
    BootCheck.objects.all().delete()
    tasks.sweep()
    assert sent[-1] == "watch_boot" and BootCheck.objects.get().watching
