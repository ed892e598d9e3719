"""The pages of a rescued machine: who may, what is said, with and without JavaScript."""

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template
from django.test import Client

from instances import tasks
from instances.disks import Disk, Role, Volume, understand
from instances.models import Job, Machine, Rescue
from instances.models.clock import now
from instances.models.machine import Reach
from instances.templatetags import machine as tags
from teams.models import SSHKey, Team
from tests.instances import rows
from tests.instances.machines import DEBIAN, IN_RESCUE, ON_MNT, RESCUE, device, lsblk

HTMX = {"HX-Request": "true"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNAPUCGqBm1nxyYjDBNY/UlpNLZKYBqmIkkpOR3Pcds"
FINGERPRINT = "SHA256:AeGtWFg0x5uJrNKa/T0IRoyRtSbqfhUz9xpIJ3tZ4nI"


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Collect what the workers would be told; keep everything of theirs away."""
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(tasks, "nudge_job", lambda job: told.append(("job", job.pk)))
    monkeypatch.setattr(tasks, "nudge_machine", lambda pk: told.append(("machine", pk)))
    return told


@pytest.fixture
def rescue(teams: SimpleNamespace, alice: Any) -> Rescue:
    account = rows.account(teams.acme)
    rows.images(account)
    return rows.rescue(rows.rescued(account, "web-1"), "READY", alice)


@pytest.fixture
def inside(rescue: Rescue) -> Machine:
    """Give the machine after its disks were looked at."""
    seen = understand(lsblk(RESCUE, DEBIAN), IN_RESCUE, rescue_last=False)
    return Machine.objects.create(
        rescue=rescue, reach=Reach.IN, address="203.0.113.7", fingerprint=FINGERPRINT,
        vouched_by="console", proven_at=now(), survey=seen.kept(), surveyed_at=now(),
    )  # fmt: skip


@pytest.fixture
def door(client: Client, alice: Any, nudges: Any) -> Client:
    client.force_login(alice)
    return client


def url(rescue: Rescue, rest: str = "machine") -> str:
    return f"/rescues/{rescue.pk}/{rest}"


def a_job(rescue: Rescue, state: str, by: Any = None, kind: str = "ssh_key", **facts: Any) -> Job:
    made = Job(
        rescue=rescue, kind=kind, state=state, requested_by=by, created_at=now(), asked_at=now(),
        **facts,
    )  # fmt: skip
    if state == "planned":
        made.sealed = made.seal({"diff": "--- a\n+++ a\n@@ -1 +1,2 @@\n old\n+<b>new</b>\n-gone\n"})
    made.save()
    return made


# How far one gets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "facts", "words"),
    [
        ("untried", {"next_at": now()}, ["Trying to log in…", "Trying"]),
        ("closed", {"next_at": now(), "address": "203.0.113.7", "port": 2222},
         ["Nothing answers on the SSH port yet", "203.0.113.7", ", port 2222"]),
        ("silent", {"tried_at": now()}, ["The address does not answer", "Last tried", "Try again"]),
        ("new_key", {"fingerprint": FINGERPRINT},
         ["Compare its host key", FINGERPRINT, "not compared yet", "accept this key", "Try again"]),
        ("key_changed", {}, ["The host key changed. The password was not sent", "Try again"]),
        ("refused", {}, ["refuses the temporary password", "Not logged in"]),
    ],
)  # fmt: skip
def test_how_far_one_gets_is_said(
    door: Client, rescue: Rescue, reach: str, facts: dict[str, Any], words: list[str]
) -> None:
    Machine.objects.create(rescue=rescue, reach=reach, **facts)
    page = door.get(url(rescue)).content.decode()
    for one in words:
        assert one in page
    assert "Disks</h2>" not in page
    refreshed = '<meta http-equiv="refresh"' in page  # for those without JavaScript
    assert refreshed == ("next_at" in facts)


def test_before_anybody_tried_and_after_it_is_over(door: Client, rescue: Rescue) -> None:
    assert "Trying to log in…" in door.get(url(rescue)).content.decode()
    Rescue.objects.update(state="CLOSED", ended_at=now())
    page = door.get(url(rescue)).content.decode()
    assert "can be worked on while it is in rescue mode" in page
    Rescue.objects.update(state="EXTERNAL", requested_by=None, image_ref="", ended_at=None)
    assert "Started outside this panel" in door.get(url(rescue)).content.decode()


def test_a_fragment_is_the_region_alone(door: Client, rescue: Rescue, inside: Machine) -> None:
    fragment = door.get(url(rescue), headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert fragment.strip().startswith(f'<div id="machine-{rescue.pk}"')
    assert "<html" in door.get(url(rescue)).content.decode()


# The disks ----------------------------------------------------------------------------------------


def test_the_disks_are_told_apart(door: Client, rescue: Rescue, inside: Machine) -> None:
    page = door.get(url(rescue)).content.decode()
    for words in (
        "Proven: the temporary password lets one in", "as the rescue system printed it",
        "Rescue system", "The instance’s own disk", "/dev/vdb1", "cloudimg-rootfs", "BIOS boot",
        "Mount on /mnt", "Look again", "As seen on",
    ):  # fmt: skip
        assert words in page
    assert '<option value="/dev/vdb1">' in page
    assert '<option value="/dev/vda1">' not in page


def test_what_is_mounted_can_be_opened_to_changes_and_let_go(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    seen = understand(lsblk(RESCUE, DEBIAN), ON_MNT, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    page = door.get(url(rescue)).content.decode()
    assert "read-only." in page and "Allow changes" in page and "Unmount" in page
    writable = understand(
        lsblk(RESCUE, DEBIAN), ON_MNT.replace(b"ro,nosuid", b"rw,nosuid"), rescue_last=False
    )
    Machine.objects.update(survey=writable.kept())
    page = door.get(url(rescue)).content.decode()
    assert "can be changed." in page and "Allow changes" not in page


def test_traps_are_told(door: Client, rescue: Rescue, inside: Machine) -> None:
    old = IN_RESCUE.replace(b"/dev/vda1", b"/dev/vdb1")
    seen = understand(lsblk(RESCUE, DEBIAN), old, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    assert "You are logged in to the broken system itself" in door.get(url(rescue)).content.decode()
    bare = understand(lsblk(device("/dev/vda", "disk")), IN_RESCUE, rescue_last=False)
    Machine.objects.update(survey=bare.kept())
    page = door.get(url(rescue)).content.decode()
    assert "does not tell what file systems there are" in page
    assert "No file system that can be mounted" in page
    Machine.objects.update(survey={})
    assert "Nobody has looked yet" in door.get(url(rescue)).content.decode()


def test_names_from_the_machine_are_text(door: Client, rescue: Rescue, inside: Machine) -> None:
    evil = "<script>alert(1)</script>"
    disk = device("/dev/vdb", "disk", device("/dev/vdb1", fstype="ext4", label=evil, on=evil))
    seen = understand(lsblk(RESCUE, disk), IN_RESCUE, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    page = door.get(url(rescue)).content.decode()
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


# What is clicked ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "sent", "kind", "params"),
    [
        ("machine/look", {}, "look", {}),
        ("machine/mount", {"device": "/dev/vdb1"}, "mount",
         {"device": "/dev/vdb1", "writable": False}),
        ("machine/mount", {"device": "/dev/vdb1", "writable": "1"}, "mount",
         {"device": "/dev/vdb1", "writable": True}),
        ("machine/unmount", {}, "unmount", {}),
    ],
)  # fmt: skip
def test_work_is_asked_for(
    door: Client, rescue: Rescue, inside: Machine, nudges: Any, path: str, sent: dict[str, str],
    kind: str, params: dict[str, Any],
) -> None:  # fmt: skip
    answer = door.post(url(rescue, path), sent)
    assert (answer.status_code, answer.headers["Location"]) == (302, url(rescue))
    job = Job.objects.get()
    assert (job.kind, job.params, job.stage, job.state) == (kind, params, "apply", "queued")
    assert ("job", job.pk) in nudges
    page = door.get(url(rescue)).content.decode()
    assert {"look": "Looking at the disks", "mount": "Mounting", "unmount": "Unmounting"}[
        kind
    ] in page
    again = door.post(url(rescue, path), sent, headers=HTMX)
    assert again.status_code == 409
    text = again.content.decode()
    assert "Something is being done on this machine" in text
    assert "<html" not in text
    assert Job.objects.count() == 1


def test_a_click_answers_with_the_region(door: Client, rescue: Rescue, inside: Machine) -> None:
    answer = door.post(url(rescue, "machine/look"), headers=HTMX)
    assert answer.status_code == 200
    assert answer.content.decode().strip().startswith(f'<div id="machine-{rescue.pk}"')


def test_why_a_mount_did_not_work_is_said(door: Client, rescue: Rescue, inside: Machine) -> None:
    a_job(rescue, "failed", kind="mount", stage="apply", problem="no_such_device",
          problem_args={"device": "/dev/<b>"})  # fmt: skip
    page = door.get(url(rescue)).content.decode()
    assert "/dev/&lt;b&gt; is not among the file systems seen" in page


def test_a_key_is_accepted(door: Client, rescue: Rescue, nudges: Any) -> None:
    Machine.objects.create(rescue=rescue, reach=Reach.NEW_KEY, fingerprint=FINGERPRINT)
    refused = door.post(url(rescue, "machine/key"), {"fingerprint": "SHA256:other"})
    assert refused.status_code == 409
    assert "shows another key by now" in refused.content.decode()
    answer = door.post(url(rescue, "machine/key"), {"fingerprint": FINGERPRINT})
    assert answer.status_code == 302
    assert ("machine", rescue.pk) in nudges
    row = Machine.objects.get()
    assert row.vouched_by == "person"
    Machine.objects.update(reach=Reach.REFUSED)
    assert "compared by Alice" in door.get(url(rescue)).content.decode()


def test_it_is_tried_again(door: Client, rescue: Rescue, inside: Machine) -> None:
    assert door.post(url(rescue, "machine/again")).status_code == 409
    Machine.objects.update(reach=Reach.KEY_CHANGED)
    assert door.post(url(rescue, "machine/again")).status_code == 302
    assert Machine.objects.get().reach == Reach.UNTRIED


# Who ----------------------------------------------------------------------------------------------


def test_who_may_look_and_who_may_work(
    client: Client, rescue: Rescue, inside: Machine, bob: Any, carol: Any, mallory: Any, nudges: Any
) -> None:
    job = a_job(rescue, "planned")
    posts = ["machine/key", "machine/again", "machine/look", "machine/mount", "machine/unmount",
             "repairs/ssh_key", f"jobs/{job.pk}/confirm", f"jobs/{job.pk}/undo",
             f"jobs/{job.pk}/drop"]  # fmt: skip
    gets = ["repairs/ssh_key", f"jobs/{job.pk}"]
    client.force_login(mallory)
    assert client.get(url(rescue)).status_code == 404
    assert {client.post(url(rescue, path)).status_code for path in posts} == {404}
    client.force_login(carol)  # she may look at the machine, not at what was done
    page = client.get(url(rescue)).content.decode()
    assert "/dev/vdb1" in page
    assert "<button" not in page.partition("disks-title")[2].partition("</main>")[0]
    assert "Only who may read the temporary password" in page
    assert {client.post(url(rescue, path)).status_code for path in posts} == {403}
    assert {client.get(url(rescue, path)).status_code for path in gets} == {403}
    Team.objects.update(password_readers="owners")
    client.force_login(bob)
    assert client.post(url(rescue, "machine/look")).status_code == 403
    assert {client.get(url(rescue, path)).status_code for path in gets} == {403}
    assert Job.objects.get().state == "planned"
    assert nudges == []


def test_addresses_that_lead_nowhere(door: Client, rescue: Rescue, inside: Machine) -> None:
    assert door.get(url(rescue, "repairs/magic")).status_code == 404
    assert door.get(url(rescue, f"jobs/{uuid.uuid4()}")).status_code == 404
    mount = a_job(rescue, "done", kind="mount")  # no repair: nothing of it can be taken back
    assert door.get(url(rescue, f"jobs/{mount.pk}")).status_code == 404
    assert door.post(url(rescue, f"jobs/{mount.pk}/undo")).status_code == 404
    other = rows.rescue(rows.rescued(rescue.instance.account, "web-9"), "READY", None)
    elsewhere = a_job(other, "done")
    assert door.get(url(rescue, f"jobs/{elsewhere.pk}")).status_code == 404
    for path in ("machine/key", "machine/look"):
        assert door.get(url(rescue, path)).status_code == 405


# The form -----------------------------------------------------------------------------------------


@pytest.fixture
def users(rescue: Rescue) -> None:
    """Let the old system's users be known."""
    a_job(rescue, "done", kind="mount", stage="apply",
          result={"lines": [], "kept": {"users": ["admin", "root"]}})  # fmt: skip


@pytest.fixture
def known(alice: Any) -> SSHKey:
    return SSHKey.objects.create(
        user=alice, name="Alice's\x07 laptop", public_key=KEY, fingerprint=FINGERPRINT,
        key_type="ssh-ed25519",
    )  # fmt: skip


def test_a_key_of_ones_own_for_a_user_of_the_old_system(
    door: Client, rescue: Rescue, inside: Machine, users: None, known: SSHKey, nudges: Any
) -> None:
    page = door.get(url(rescue, "repairs/ssh_key")).content.decode()
    for words in ("Put an SSH key back", "<option value=\"admin\">admin</option>", FINGERPRINT,
                  "The key pasted below", "Nothing is written before you say yes"):  # fmt: skip
        assert words in page
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "known": known.pk})
    job = Job.objects.get(kind="ssh_key")
    assert (answer.status_code, answer.headers["Location"]) == (302, url(rescue, f"jobs/{job.pk}"))
    assert job.params == {"user": "admin", "public_key": KEY, "key_name": "Alice's laptop"}
    assert (job.stage, job.requested_by.name) == ("look", "Alice")
    assert nudges == [("job", job.pk)]


def test_a_pasted_key_goes_before_a_known_one(
    door: Client, rescue: Rescue, inside: Machine, known: SSHKey
) -> None:
    pasted = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMJ0CAkoDuBTgGwUBbrxQDOBGtCvCiw3jMbUTsCNGVB6"
    sent = {"user": "admin", "known": known.pk, "pasted": f" {pasted} me@work  "}
    door.post(url(rescue, "repairs/ssh_key"), sent)
    assert Job.objects.get().params == {
        "user": "admin", "public_key": pasted, "key_name": "me@work",
    }  # fmt: skip
    Job.objects.all().delete()
    door.post(url(rescue, "repairs/ssh_key"), sent | {"pasted": pasted})
    assert Job.objects.get().params["key_name"] == "rescue"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"user": "admin"}, "Pick a key, or paste one."),
        ({"user": "", "pasted": KEY}, "This field is required."),
        ({"user": "admin; reboot", "pasted": KEY}, "That is not a user’s name."),
        ({"user": "admin", "pasted": "hello"}, "ssh-"),
        ({"user": "admin", "pasted": f"{KEY} a\n{KEY} b"}, "a single line"),
        ({"user": "admin", "pasted": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "never give it away"),
        ({"user": "admin", "pasted": "x" * 20_000}, "at most"),
        ({"user": "admin", "known": "999", "pasted": ""}, "Pick a key, or paste one."),
    ],
)
def test_bad_input_is_answered_beside_its_field(
    door: Client, rescue: Rescue, inside: Machine, sent: dict[str, str], reason: str
) -> None:
    answer = door.post(url(rescue, "repairs/ssh_key"), sent)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert "aria-invalid" in answer.content.decode()
    assert not Job.objects.exists()


def test_what_is_not_in_the_lists_is_not_taken(
    door: Client, rescue: Rescue, inside: Machine, users: None, known: SSHKey, mallory: Any
) -> None:
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "eve", "known": known.pk})
    assert answer.status_code == 422
    assert "Pick one of the users in the list." in answer.content.decode()
    SSHKey.objects.update(user=mallory)
    other = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "known": known.pk})
    assert other.status_code == 422
    assert not Job.objects.filter(kind="ssh_key").exists()


def test_a_repair_that_is_not_possible_now_keeps_what_was_typed(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    Machine.objects.update(reach=Reach.CLOSED)
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "pasted": KEY})
    assert answer.status_code == 409
    assert "not logged in to this machine" in answer.content.decode()
    assert KEY in answer.content.decode()


# A repair's page ----------------------------------------------------------------------------------


def test_a_plan_is_shown_line_by_line_and_waits_for_a_word(
    door: Client, rescue: Rescue, inside: Machine, alice: Any, nudges: Any
) -> None:
    told = [["will_change", {"path": "/home/admin/<i>", "folder": "/home/admin"}]]
    job = a_job(rescue, "planned", alice, plan={"lines": told}, params={"user": "admin"})
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    for words in (
        "Looked at, nothing changed yet", "/home/admin/&lt;i&gt; is changed.", "Asked for by",
        '<span class="diff-added">+&lt;b&gt;new&lt;/b&gt;</span>',
        '<span class="diff-removed">-gone</span>', "diff-place", "Do it", "Leave it", "admin",
    ):  # fmt: skip
        assert words in page
    answer = door.post(url(rescue, f"jobs/{job.pk}/confirm"))
    assert answer.headers["Location"] == url(rescue, f"jobs/{job.pk}")
    assert nudges == [("job", job.pk)]
    assert Job.objects.get().state == "queued"
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "Waiting for a worker" in page
    assert '<meta http-equiv="refresh" content="3">' in page
    fragment = door.get(url(rescue, f"jobs/{job.pk}"), headers=HTMX).content.decode()
    assert "<html" not in fragment


def test_a_plan_can_be_left(door: Client, rescue: Rescue, inside: Machine, nudges: Any) -> None:
    job = a_job(rescue, "planned")
    assert door.post(url(rescue, f"jobs/{job.pk}/drop")).headers["Location"] == url(rescue)
    assert Job.objects.get().state == "dropped"
    assert nudges == []
    late = door.post(url(rescue, f"jobs/{job.pk}/confirm"), follow=True).content.decode()
    assert "Something else happened at the same moment" in late


def test_what_was_done_can_be_taken_back(door: Client, rescue: Rescue, inside: Machine) -> None:
    told = {"lines": [["made_new", {"path": "/x"}]], "kept": {"changed": []}}
    job = a_job(rescue, "done", stage="apply", result=told)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "/x was made." in page and "Take it back" in page
    door.post(url(rescue, f"jobs/{job.pk}/undo"))
    assert (Job.objects.get().stage, Job.objects.get().state) == ("undo", "queued")
    undone = told | {"undone": [["taken_back", {"path": "/x"}]]}
    Job.objects.update(state="undone", result=undone)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "/x is as it was before." in page and "Take it back" not in page


def test_what_failed_says_why_and_how_to_go_on(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    job = a_job(rescue, "failed", stage="apply", problem="changed_since")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "The files changed since you looked." in page
    assert "Begin again" in page and "Take it back" not in page
    Job.objects.update(stage="undo", problem="read_only")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "Take it back" in page and "Begin again" not in page


def test_the_repairs_of_a_machine_are_listed(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = a_job(rescue, "done", alice)
    page = door.get(url(rescue)).content.decode()
    assert url(rescue, f"jobs/{job.pk}") in page
    assert url(rescue, "repairs/ssh_key") in page


# What templates say -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fstype", "part_type", "words"),
    [
        ("LVM2_member", "", "part of a volume group"),
        ("crypto_LUKS", "", "encrypted (LUKS)"),
        ("linux_raid_member", "", "part of a RAID"),
        ("swap", "", "swap"),
        ("", "BIOS boot", "BIOS boot"),
        ("", "", "no file system seen"),
        ("btrfs", "", "btrfs"),
    ],
)
def test_what_a_volume_holds(fstype: str, part_type: str, words: str) -> None:
    assert words in tags.volume_kind(Volume("/dev/vdb1", "part", 1, fstype, part_type=part_type))


def test_volumes_are_listed_with_their_depth() -> None:
    inner = Volume("/dev/vdb1", "part", 1)
    for _level in range(6):
        inner = Volume("/dev/vdb1", "part", 1, inside=(inner,))
    whole = Disk(Volume("/dev/vdb", "disk", 1, inside=(inner,)), Role.OLD)
    assert [depth for _volume, depth in tags.volumes_of(whole)] == [0, 1, 2, 3, 4, 4, 4]
    plain = Disk(Volume("/dev/vdc", "disk", 1, fstype="ext4"), Role.OLD)
    assert [depth for _volume, depth in tags.volumes_of(plain)] == [-1]


def test_tones_and_icons() -> None:
    soon = now() + timedelta(seconds=1)
    tones = [tags.reach_tone(Machine(reach=reach, next_at=at))
             for reach, at in (("in", None), ("closed", soon), ("refused", None))]  # fmt: skip
    assert tones == ["ok", "busy", "warn"]
    assert [tags.job_tone(Job(state=state)) for state in ("done", "failed", "dropped")] == [
        "ok", "error", "",
    ]  # fmt: skip
    assert [tags.repair_icon(kind) for kind in ("ssh_key", "other")] == ["key-round", "wrench"]
    shown = Template("{% load machine %}{{ job|job_stage }} {{ job|job_state }}")
    assert shown.render(Context({"job": Job(stage="undo", state="running")})) == (
        "Take back Under way"
    )
