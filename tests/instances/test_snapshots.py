"""A snapshot before the rescue: asked for once, followed to its end, or the rescue stays undone."""

from datetime import timedelta

import pytest

from instances import cloud as clouds
from instances import rescue as use_cases
from instances import snapshots
from instances.models import Rescue, Snapshot
from instances.models.clock import now
from instances.observed import Seen
from teams.models import AuditEntry
from tests.instances import rows
from tests.instances.conftest import drive

IDLE, BUSY = Seen("active"), Seen("active", "image_uploading")


def test_the_rescue_starts_once_it_is_there(demo, start, instance_named):
    row = start("web-1", snapshot="web-1 before")
    assert row.headline == "Taking a snapshot first"
    row = drive(row)
    snapshot = Snapshot.objects.get()
    assert (row.state, snapshot.state, snapshot.calls) == ("READY", "done", 1)
    assert demo.accepted(row.instance.server_id, "createImage") == 1
    assert demo.accepted(row.instance.server_id, "rescue") == 1
    acts = rows.acts()
    assert acts.index("rescue.start") < acts.index("snapshot.done") < acts.index("rescue.ready")
    assert AuditEntry.objects.get(act="snapshot.done").details["image"] == snapshot.image_id
    assert [stage.key for stage in row.stages] == [
        "asked", "snapshot", "accepted", "booting", "ready",
    ]  # fmt: skip
    assert row.usual_seconds is None


@pytest.mark.parametrize("fault", ["lost_reply", "refuse_500"])
def test_a_lost_answer_is_settled_by_looking(demo, start, fault):
    row = start("web-1", snapshot="kept")
    demo.fault("web-1", **{fault: 1})
    row = drive(row, steps=2)
    assert Snapshot.objects.get().state in ("calling", "waiting")
    Snapshot.objects.update(called_at=now() - timedelta(seconds=26))
    row = drive(row)
    assert row.state == "READY" and Snapshot.objects.get().state == "done"
    assert demo.accepted(row.instance.server_id, "createImage") == 1


def test_one_that_fails_leaves_the_rescue_undone(demo, start, client, alice):
    row = start("web-1", snapshot="kept")
    demo.fault("web-1", driver_error=True)
    row = drive(row, steps=3)
    Snapshot.objects.update(called_at=now() - timedelta(seconds=61))
    row = drive(row)
    assert (row.state, row.failure_code) == ("REFUSED", "snapshot:broken")
    assert demo.calls(row.instance.server_id, "rescue") == []
    client.force_login(alice)
    page = client.get(f"/rescues/{row.pk}").content.decode()
    assert "No snapshot could be taken, so the rescue was not started." in page
    assert row.sealed_password == ""


def test_an_earlier_image_of_that_name_is_not_taken_for_it(demo, start):
    first = drive(start("web-1", snapshot="kept"))
    use_cases.request_exit(instance=first.instance, by=first.requested_by)
    drive(first)
    drive(start("web-1", snapshot="kept"))
    one, two = Snapshot.objects.order_by("begun_at")
    assert one.image_id and two.image_id and one.image_id != two.image_id
    assert one.image_id in two.baseline


def test_one_that_takes_long_does_not_let_the_rescue_expire(start):
    row = start("web-1", snapshot="kept")
    Rescue.objects.update(asked_at=now() - timedelta(minutes=11))
    assert drive(row).state == "READY"


def test_the_clouds_own_words_are_kept(start, monkeypatch):
    def refuse(*_args):
        raise clouds.Forbidden("Quota exceeded for resources: ['snapshots'].")

    monkeypatch.setattr(clouds.Cloud, "create_image", refuse)
    row = drive(start("web-1", snapshot="kept"))
    assert (row.state, row.failure_code) == ("REFUSED", "snapshot:forbidden")
    assert "Quota exceeded" in row.failure_text


# Every answer -------------------------------------------------------------------------------------


class Nova:
    """A cloud that answers as it is told."""

    def __init__(self):
        self.there, self.error, self.asked = [], None, 0

    def images(self, *, name):
        assert name == "kept"
        return self.there

    def create_image(self, server_id, name):
        self.asked += 1
        if self.error:
            raise self.error

    def shows(self, status, image_id="new", **properties):
        self.there = [
            clouds.Image(
                image_id=image_id, name="kept", status=status, visibility="private", owner="p",
                hidden=False, disk_format="qcow2", min_ram=0, size=1, tags=[],
                properties=properties, updated_at=None,
            )
        ]  # fmt: skip


@pytest.fixture
def wanted(teams, alice):
    instance = rows.instance(rows.account(teams.acme))
    rescue = rows.rescue(instance, "REQUESTED", alice)
    return Snapshot.objects.create(rescue=rescue, name="kept", begun_at=now())


def later(snapshot, **ago):
    snapshot.called_at = now() - timedelta(**ago)
    snapshot.save()


def test_it_waits_for_image_and_server(wanted):
    nova = Nova()
    assert snapshots.step(wanted, nova, BUSY).wait and nova.asked == 0
    assert snapshots.step(wanted, nova, IDLE).wait and wanted.state == "waiting"
    for status, seen in (("queued", BUSY), ("saving", BUSY), ("active", BUSY), ("saving", IDLE)):
        nova.shows(status)
        assert snapshots.step(wanted, nova, seen).to is None and wanted.is_pending
    nova.shows("active", instance_uuid="another server's")
    assert snapshots.step(wanted, nova, IDLE).to is None and wanted.is_pending
    nova.shows("active", instance_uuid=wanted.rescue.instance.server_id)
    assert snapshots.step(wanted, nova, IDLE).to is None
    assert (wanted.state, wanted.image_id, nova.asked) == ("done", "new", 1)


def test_what_was_there_before_is_not_it(wanted):
    nova = Nova()
    nova.shows("active", "old")
    snapshots.step(wanted, nova, IDLE)
    assert wanted.baseline == ["old"]
    assert snapshots.step(wanted, nova, IDLE).to is None and wanted.state == "waiting"


@pytest.mark.parametrize("kind", ["Invalid", "Forbidden", "Gone", "Conflict"])
def test_a_clear_no_is_a_no(wanted, kind):
    nova = Nova()
    nova.error = getattr(clouds, kind)("Quota exceeded.")
    move = snapshots.step(wanted, nova, IDLE)
    assert move.to == "REFUSED" and move.reason.startswith("snapshot:")
    assert (wanted.state, wanted.failure_text) == ("failed", "Quota exceeded.")


def test_what_was_not_even_looked_at_is_asked_again(wanted):
    nova = Nova()
    nova.error = clouds.Limited()
    for _turn in range(3):
        assert snapshots.step(wanted, nova, IDLE).to is None
    assert (wanted.state, wanted.calls, nova.asked) == ("wanted", 0, 3)


def test_silence_is_asked_twice_at_most(wanted):
    nova = Nova()
    nova.error = clouds.Silent()
    snapshots.step(wanted, nova, IDLE)
    assert (wanted.state, nova.asked) == ("calling", 1)
    snapshots.step(wanted, nova, IDLE)  # too early to tell
    later(wanted, seconds=26)
    snapshots.step(wanted, nova, BUSY)  # something is under way
    assert (wanted.state, nova.asked) == ("calling", 1)
    snapshots.step(wanted, nova, IDLE)
    assert wanted.state == "wanted"
    snapshots.step(wanted, nova, IDLE)
    later(wanted, seconds=26)
    move = snapshots.step(wanted, nova, IDLE)
    assert (move.reason, nova.asked) == ("snapshot:unsure", 2)


@pytest.mark.parametrize(
    ("status", "ago", "reason"),
    [
        ("killed", {"seconds": 1}, "snapshot:broken"),
        (None, {"seconds": 61}, "snapshot:broken"),
        ("saving", {"minutes": 61}, "snapshot:too_long"),
    ],
)
def test_it_is_not_waited_for_without_end(wanted, status, ago, reason):
    nova = Nova()
    snapshots.step(wanted, nova, IDLE)
    later(wanted, **ago)
    if status:
        nova.shows(status)
    assert snapshots.step(wanted, nova, IDLE).reason == reason


def test_where_none_can_be_taken_none_is_asked_for(wanted):
    nova = Nova()
    wanted.begun_at = now() - timedelta(minutes=11)
    assert snapshots.step(wanted, nova, BUSY).reason == "snapshot:busy"
    again = Snapshot(rescue=wanted.rescue, name="kept", begun_at=now())
    assert snapshots.step(again, nova, Seen("error")).reason == "snapshot:vm_state"
    assert nova.asked == 0


def test_a_worker_that_was_overtaken_asks_nothing(wanted):
    nova = Nova()
    Snapshot.objects.update(state="calling")
    assert snapshots.step(wanted, nova, IDLE).to is None
    assert nova.asked == 0


# The dialog ---------------------------------------------------------------------------------------


def test_the_dialog_asks_for_a_name(teams, client, bob):
    account = rows.account(teams.acme)
    rows.images(account)
    web = rows.instance(account)
    client.force_login(bob)
    address = f"/instances/{web.pk}/rescue"
    form = {"image": rows.RESCUE_IMAGE, "idempotency_key": "11111111-1111-4111-8111-111111111111"}
    assert "Name of a snapshot to take first" in client.get(address).content.decode()
    refused = client.post(address, form | {"snapshot": "in:<x>"})
    assert refused.status_code == 422 and "letters, digits" in refused.content.decode()
    web.vm_state = "error"
    web.save()
    refused = client.post(address, form | {"snapshot": "kept"})
    assert refused.status_code == 422 and "in this state" in refused.content.decode()
    assert not Rescue.objects.exists()
    web.vm_state = "active"
    web.save()
    client.post(address, form | {"snapshot": "kept"})
    assert Snapshot.objects.get().name == "kept"
    assert AuditEntry.objects.get(act="rescue.start").details["snapshot"] == "kept"
    card = client.get("/notifications", headers={"HX-Request": "true"}).content.decode()
    assert "Taking a snapshot first" in card and "Taking a snapshot<" in card
