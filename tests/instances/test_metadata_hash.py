"""The password's hash in a server's metadata: there before the rescue, and gone after it."""

from datetime import timedelta

import pytest
from passlib.hash import sha512_crypt

from instances import accounts, cloud, metadata_hash, passwords, tasks
from instances import rescue as use_cases
from instances.cloud import Cloud
from instances.lifecycle import State
from instances.metadata_hash import HELD, KEY, MOST_TRIES
from instances.models import Image, Instance, LeftHash, Rescue
from instances.models.clock import now
from teams.models import AuditEntry
from tests.instances import rows
from tests.instances.conftest import drive, later
from tests.instances.test_driver_crashes import Died, Doom, put_back, survive_all

OTHERS = "rescue.external"  # of vpn, which was in rescue already
NO_DRIVE, STABLE = "ci-runner-2", "Distribution Rescue Made-in-Demo"


@pytest.fixture
def permitted(synced, alice):
    """Give the account, whose owner lets the hash go into the metadata."""
    accounts.permit_metadata(account=synced, by=alice, permitted=True)
    synced.refresh_from_db()
    return synced


@pytest.fixture
def held(permitted, instance_named):
    """Tell what a server's metadata holds of us, by its name; nothing is ""."""

    def ask(name=NO_DRIVE):
        server = instance_named(name).server_id
        path = f"/servers/{server}/metadata"
        return cloud.open_account(permitted)._json(path)["metadata"].get(KEY, "")

    return ask


@pytest.fixture
def fails(monkeypatch):
    """Have the cloud answer an error instead, as often as wanted."""

    def fail(name, error, *, times=99, done=False):
        asked, left = getattr(Cloud, name), [times]

        def answer(self, *args):
            left[0] -= 1
            if left[0] < 0:
                return asked(self, *args)
            if done:
                asked(self, *args)
            raise error

        monkeypatch.setattr(Cloud, name, answer)

    return fail


def exited(row, by):
    use_cases.request_exit(
        instance=Instance.objects.with_panel_data().get(pk=row.instance_id), by=by
    )
    row = drive(row)
    assert row.state == State.CLOSED
    return row


def released():
    """Let the time pass for which the row may be held, or waits for its next try."""
    past = now() - timedelta(seconds=1)
    LeftHash.objects.exclude(held_until=None).update(held_until=past)
    LeftHash.objects.update(next_at=past)


def swept():
    released()
    for pk in metadata_hash.due():
        metadata_hash.remove(pk)
    return LeftHash.objects.get()


# There and gone ----------------------------------------------------------------------------------


def test_there_for_the_rescue_and_gone_after_it(demo, start, held, alice):
    row = drive(start(NO_DRIVE))
    assert (row.state, row.access, row.by_metadata) == ("READY", "password", True)
    assert sha512_crypt.verify(row.password(), held()) and held().startswith("$6$")
    assert metadata_hash.due() == [], "it is needed while the rescue is open"
    exited(row, alice)
    assert held(), "Nova let nobody take it away before"
    left = swept()
    assert left.removed_at and held() == ""
    assert metadata_hash.due() == []
    acts = [act for act in rows.acts() if act.startswith(("hash.", "rescue.")) and act != OTHERS]
    assert acts == [
        "rescue.start", "hash.left", "rescue.ready", "rescue.exit", "rescue.closed", "hash.removed",
    ]  # fmt: skip


def test_a_stable_image_and_an_old_drive(demo, start, held, instance_named, permitted):
    image = Image.objects.get(account=permitted, name=STABLE)
    row = drive(start("web-1", image_ref=image.image_id))
    assert row.state == "READY" and sha512_crypt.verify(row.password(), held("web-1"))


def test_a_server_that_boots_from_a_volume_is_offered_it_again(start, held, instance_named):
    offered = use_cases.picker_for(instance_named("db-archive"))
    assert (offered.preselected.name, offered.preselected.access) == (STABLE, "password")
    row = drive(start("db-archive"))
    assert row.state == "READY" and sha512_crypt.verify(row.password(), held("db-archive"))


def test_off_by_default_nothing_is_written(start, synced, instance_named):
    assert not synced.password_by_metadata
    instance = instance_named(NO_DRIVE)
    assert all(one.access != "password" for one in use_cases.picker_for(instance).choices)
    row = drive(start(NO_DRIVE))
    assert (row.state, row.by_metadata, LeftHash.objects.count()) == ("READY", False, 0)


def test_a_fresh_config_drive_needs_no_hash(start, held):
    row = drive(start("web-1"))
    assert row.access == "password" and not row.by_metadata and held("web-1") == ""


def test_a_server_in_error_takes_none(permitted, instance_named):
    Instance.objects.filter(name=NO_DRIVE).update(vm_state="error")
    offered = use_cases.picker_for(instance_named(NO_DRIVE))
    assert all(one.access != "password" for one in offered.choices)
    assert "in its present state the cloud takes no metadata" in str(offered.notes)


def test_each_hash_has_a_salt_of_its_own():
    assert passwords.salted("x") != passwords.salted("x")


# The cloud says no -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (cloud.Forbidden("Maximum number of metadata items exceeds 128"), "it is full"),
        (cloud.Conflict("Instance x is locked"), "takes no metadata for this instance"),
        (cloud.Invalid("too long"), "did not take the password’s hash"),
    ],
)
def test_a_rescue_is_not_started_without_it(demo, start, held, fails, error, words):
    fails("put_metadata", error)
    row = drive(start(NO_DRIVE))
    assert (row.state, row.failure_code) == ("REFUSED", f"hash:{error.kind}")
    assert words in str(row.advice) and row.failure_text == str(error)
    assert demo.calls(row.instance.server_id, "rescue") == [] and row.sealed_password == ""
    assert LeftHash.objects.get().removed_at, "Nova said no: nothing is there"


def test_a_full_metadata_in_the_clouds_own_words(demo, start, held, permitted, instance_named):
    server = instance_named(NO_DRIVE).server_id
    there = cloud.open_account(permitted)
    for n in range(128):
        there.put_metadata(server, f"k{n}", "v")
    row = drive(start(NO_DRIVE))
    assert row.failure_code == "hash:forbidden" and "exceeds 128" in row.failure_text


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_asked_again_with_the_same_password(demo, start, held, fails, done):
    fails("put_metadata", cloud.Silent("lost"), times=1, done=done)
    row = drive(start(NO_DRIVE), steps=1)
    assert (row.state, row.obstacle) == ("REQUESTED", "silent")
    first = row.password()
    assert LeftHash.objects.get().left_at is None
    assert drive(row, steps=2).state == "REQUESTED", "the first may be on its way still"
    released()
    row = drive(row)
    assert row.state == "READY" and row.password() == first
    assert sha512_crypt.verify(first, held())


def test_one_never_started_is_cleared_up_too(demo, start, held, fails, alice):
    fails("put_metadata", cloud.Silent("lost"), times=1, done=True)
    row = drive(start(NO_DRIVE), steps=1)
    use_cases.cancel(rescue=row, by=alice)
    assert held()
    assert metadata_hash.due() == [], "what is on its way may still arrive"
    assert swept().removed_at and held() == ""


def test_no_after_a_lost_answer_leaves_it_to_be_removed(demo, start, held, fails):
    fails("put_metadata", cloud.Silent("lost"), times=1, done=True)
    row = drive(start(NO_DRIVE), steps=1)
    released()
    fails("put_metadata", cloud.Conflict("no"))
    assert drive(row).state == "REFUSED"
    assert LeftHash.objects.get().removed_at is None and held()
    assert swept().removed_at and held() == ""


def test_another_password_of_novas_is_not_believed(start, held, monkeypatch):
    asked = Cloud.rescue

    def answers_another(self, *args, **kwargs):
        return cloud.Accepted(asked(self, *args, **kwargs).request_id, "another")

    monkeypatch.setattr(Cloud, "rescue", answers_another)
    row = drive(start(NO_DRIVE))
    assert sha512_crypt.verify(row.password(), held())


# Removal -----------------------------------------------------------------------------------------


def test_removal_is_tried_again_and_said(demo, start, held, fails, alice, client):
    row = exited(drive(start(NO_DRIVE)), alice)
    fails("drop_metadata", cloud.Broken("500"), times=3)
    for tries in (1, 2):
        assert (swept().tries, str(row.hash_remains)) == (tries, "")
        row = Rescue.objects.get(pk=row.pk)
    left = swept()
    assert left.next_at > now() and left.problem == "broken"
    client.force_login(alice)
    for address in (f"/rescues/{row.pk}", "/notifications"):
        page = client.get(address).content.decode()
        assert "The panel keeps trying" in page
        assert f"unset --property {KEY} {row.instance.server_id}" in page
    assert swept().removed_at and held() == ""
    assert Rescue.objects.get(pk=row.pk).hash_remains == ""


def test_given_up_after_a_day_with_the_way_to_do_it_by_hand(start, held, fails, alice):
    row = exited(drive(start(NO_DRIVE)), alice)
    fails("drop_metadata", cloud.Forbidden("no"))
    LeftHash.objects.update(tries=MOST_TRIES - 1)
    assert swept().given_up_at
    released()
    assert metadata_hash.due() == []
    row = Rescue.objects.get(pk=row.pk)
    assert "tries no more" in str(row.hash_remains) and row.instance.server_id in row.hash_command
    entry = AuditEntry.objects.get(act="hash.given_up")
    assert entry.details["reason"] == "forbidden"


def test_a_cloud_that_cannot_be_opened_is_tried_again(start, held, fails, alice):
    exited(drive(start(NO_DRIVE)), alice)
    fails("identity", cloud.BadCredentials("no"), times=1)
    assert swept().problem == "credentials"
    assert swept().removed_at


def test_one_that_is_gone_is_removed(demo, start, held, permitted, instance_named, alice):
    exited(drive(start(NO_DRIVE)), alice)
    cloud.open_account(permitted).drop_metadata(instance_named(NO_DRIVE).server_id, KEY)
    assert swept().removed_at


def test_two_removers_ask_once(start, held, alice, monkeypatch):
    exited(drive(start(NO_DRIVE)), alice)
    released()
    asked, inner = [], Cloud.drop_metadata

    def count(self, *args):
        asked.append(args)
        metadata_hash.remove(LeftHash.objects.get().pk)
        inner(self, *args)

    monkeypatch.setattr(Cloud, "drop_metadata", count)
    metadata_hash.remove(LeftHash.objects.get().pk)
    assert len(asked) == 1 and LeftHash.objects.get().removed_at


def test_the_sweeper_sends_for_it(start, held, alice, monkeypatch):
    row = exited(drive(start(NO_DRIVE)), alice)
    sent = []
    monkeypatch.setattr(
        tasks, "_send", lambda task, argument, *_, **__: sent.append((task, argument))
    )
    released()
    tasks.sweep()
    assert (tasks.remove_hash, row.instance_id) in sent
    tasks.remove_hash(row.instance_id)
    assert held() == ""


# One rescue after another ------------------------------------------------------------------------


def test_the_next_rescue_waits_for_a_removal_under_way(start, held, alice):
    exited(drive(start(NO_DRIVE)), alice)
    LeftHash.objects.update(held_until=now() + HELD)
    row = drive(start(NO_DRIVE), steps=3)
    assert row.state == "REQUESTED"
    released()
    row = drive(row)
    assert row.state == "READY" and sha512_crypt.verify(row.password(), held())
    assert LeftHash.objects.get().rescue_id == row.pk


def test_an_old_hash_does_not_come_before_a_password_on_the_drive(start, held, alice, permitted):
    """The image believes a hash more than a drive, which is old with hw_rescue_*."""
    image = Image.objects.get(account=permitted, name=STABLE)
    exited(drive(start("web-1", image_ref=image.image_id)), alice)
    assert held("web-1")
    row = drive(start("web-1"))
    assert row.state == "READY" and not row.by_metadata and held("web-1") == ""


def test_a_rescue_by_drive_does_not_depend_on_the_removal(start, held, alice, permitted, fails):
    image = Image.objects.get(account=permitted, name=STABLE)
    exited(drive(start("web-1", image_ref=image.image_id)), alice)
    fails("drop_metadata", cloud.Broken("500"))
    assert drive(start("web-1")).state == "READY"
    assert LeftHash.objects.get().tries == 1


def test_leaving_the_cloud_gives_it_up(start, held, alice, permitted, client):
    row = exited(drive(start(NO_DRIVE)), alice)
    client.force_login(alice)
    page = client.get(f"/teams/{permitted.team_id}/clouds/{permitted.pk}/disconnect")
    assert f"unset --property {KEY} {row.instance.server_id}" in page.content.decode()
    accounts.disconnect(account=permitted, by=alice)
    left = LeftHash.objects.get()
    assert left.given_up_at and left.problem == "disconnected"
    assert AuditEntry.objects.get(act="hash.given_up").actor == alice


# Never lost, never told --------------------------------------------------------------------------


def test_death_at_every_point(demo, start, held, monkeypatch):
    doom = Doom(monkeypatch)
    for owner, name in ((LeftHash, "move"), (Cloud, "_send")):
        monkeypatch.setattr(owner, name, doom.around(getattr(owner, name)))
    server = []

    def begin():
        doom.at = 0
        doom.passwords.clear()
        row = start(NO_DRIVE)
        server.append(row.instance.server_id)
        return row

    def check(row, when):
        for _turn in range(4):  # the row was held by the one who died
            if row.state == State.READY:
                break
            released()
            row = drive(later(row, 30))
        assert row.state == State.READY, when
        assert sha512_crypt.verify(row.password(), held()), when
        assert set(doom.passwords) == {row.password()}, when
        assert demo.accepted(server[-1], "rescue") == 1, when
        LeftHash.objects.all().delete()
        put_back(demo, row)

    assert survive_all(doom, begin, check, stride=2) > 20


def test_death_while_it_is_removed(demo, start, held, alice, monkeypatch):
    exited(drive(start(NO_DRIVE)), alice)
    doom = Doom(monkeypatch)
    for owner, name in ((LeftHash, "move"), (Cloud, "_send")):
        monkeypatch.setattr(owner, name, doom.around(getattr(owner, name)))
    for at in range(1, 7):
        released()
        doom.at, doom.passed = at, 0
        try:
            swept()
        except Died:
            assert LeftHash.objects.get().removed_at is None or held() == ""
        doom.at = 0
        LeftHash.objects.update(given_up_at=None)
    left = swept()
    assert left.removed_at and held() == ""
