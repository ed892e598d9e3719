"""The page of a rescued machine: who may, what is said, with and without JavaScript."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.template import Context, Template
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from instances.disks import Disk, Disks, Role, Volume, understand
from instances.models import Job, Machine, Rescue
from instances.models.machine import Reach
from instances.templatetags import machine as tags
from teams.models import Team
from tests.instances import rows
from tests.instances.machines import DEBIAN, IN_RESCUE, ON_MNT, RESCUE, device, lsblk

HTMX = {"HX-Request": "true"}


def url(rescue: Rescue, rest: str = "machine") -> str:
    return f"/rescues/{rescue.pk}/{rest}"


# How far one gets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "facts", "words"),
    [
        ("untried", {"next_at": timezone.now()}, ["Trying to log in…", "Trying"]),
        ("closed", {"next_at": timezone.now(), "address": "203.0.113.7", "port": 2222},
         ["Nothing answers on the SSH port yet", "203.0.113.7", ", port 2222"]),
        ("silent", {"tried_at": timezone.now()},
         ["The address does not answer", "Last tried", "Try again"]),
        ("new_key", {"fingerprint": rows.FINGERPRINT},
         ["Compare its host key", rows.FINGERPRINT, "not compared yet", "accept this key"]),
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
    Rescue.objects.update(state="CLOSED", ended_at=timezone.now())
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


def test_the_exit_warns_of_what_is_still_mounted(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    warning = "/dev/vdb1 was still mounted on /mnt when the panel last looked."
    dialog = reverse("instances:exit_rescue", args=[rescue.instance_id])
    assert warning not in door.get(dialog).content.decode()
    seen = understand(lsblk(RESCUE, DEBIAN), ON_MNT, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    assert warning in door.get(dialog).content.decode()


def test_the_exit_warns_of_what_is_still_being_done(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    warning = "Something is still being done on the machine."
    dialog = reverse("instances:exit_rescue", args=[rescue.instance_id])
    job = rows.job(rescue, "done", kind="check", stage="apply")
    assert warning not in door.get(dialog).content.decode()
    for facts in ({"state": "running"}, {"state": "failed", "problem": "still_going"}):
        Job.objects.filter(pk=job.pk).update(**facts)
        assert warning in door.get(dialog).content.decode()


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


def test_what_has_to_be_opened_first_is_told(door: Client, rescue: Rescue, inside: Machine) -> None:
    own = device(
        "/dev/vdb", "disk",
        device("/dev/vdb1", fstype="linux_raid_member", uuid="a-1", label="web-1:0"),
        device("/dev/vdb2", fstype="crypto_LUKS"),
        device("/dev/vdb3", fstype="linux_raid_member", uuid="a-2"),
    )  # fmt: skip
    other = device("/dev/vdc", "disk", device("/dev/vdc1", fstype="linux_raid_member", uuid="a-1"))
    seen = understand(lsblk(RESCUE, own, other), IN_RESCUE, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    lines = [["looked", {"disks": 3}], ["lvm_stays_off", {"said": "<b>torn"}]]
    rows.job(rescue, "done", kind="look", result={"lines": lines})
    page = door.get(url(rescue)).content.decode()
    for words in (
        "Members of a RAID that is not put together: /dev/vdb1, /dev/vdc1.",
        "Members of a RAID that is not put together: /dev/vdb3.",
        "/dev/vdb2 is encrypted.",
        "Not all logical volumes could be switched on: &lt;b&gt;torn",
    ):
        assert page.count(words) == 1, words
    assert page.count("part of a RAID that is not put together") == 3
    rows.job(rescue, "done", kind="look", result={"lines": [["looked", {"disks": 3}]]})
    page = door.get(url(rescue)).content.decode()
    assert "/dev/vdb2 is encrypted." in page and "Not all logical volumes" not in page


def test_what_a_mount_chose_and_could_not_do_is_told_while_it_lasts(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    said = {"device": "/dev/vdb2", "on": "/mnt/srv", "said": "bad superblock"}
    lines = [
        ["mounted_ro", {"device": "/dev/vdb1", "on": "/mnt"}],
        ["mounted_part", {"device": "/dev/vdb1", "folder": "@"}],
        ["mounted_not", said],
    ]
    rows.job(rescue, "done", kind="mount", result={"lines": lines})
    chosen = "The system lies in the subvolume @ of /dev/vdb1"
    unable = "/dev/vdb2 should be mounted on /mnt/srv, as the old fstab says, but cannot be: bad"
    page = door.get(url(rescue)).content.decode()
    assert chosen not in page and unable not in page
    seen = understand(lsblk(RESCUE, DEBIAN), ON_MNT, rescue_last=False)
    Machine.objects.update(survey=seen.kept())
    page = door.get(url(rescue)).content.decode()
    assert page.count(chosen) == 1 and page.count(unable) == 1


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
    rows.job(rescue, "failed", kind="mount", stage="apply", problem="no_such_device",
          problem_args={"device": "/dev/<b>"})  # fmt: skip
    page = door.get(url(rescue)).content.decode()
    assert "/dev/&lt;b&gt; is not among the file systems seen" in page


def test_a_key_is_accepted(door: Client, rescue: Rescue, nudges: Any) -> None:
    Machine.objects.create(rescue=rescue, reach=Reach.NEW_KEY, fingerprint=rows.FINGERPRINT)
    refused = door.post(url(rescue, "machine/key"), {"fingerprint": "SHA256:other"})
    assert refused.status_code == 409
    assert "shows another key by now" in refused.content.decode()
    answer = door.post(url(rescue, "machine/key"), {"fingerprint": rows.FINGERPRINT})
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
    job = rows.job(rescue, "planned")
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
    mount = rows.job(rescue, "done", kind="mount")  # no repair: nothing of it can be taken back
    assert door.get(url(rescue, f"jobs/{mount.pk}")).status_code == 404
    assert door.post(url(rescue, f"jobs/{mount.pk}/undo")).status_code == 404
    other = rows.rescue(rows.rescued(rescue.instance.account, "web-9"), "READY", None)
    elsewhere = rows.job(other, "done")
    assert door.get(url(rescue, f"jobs/{elsewhere.pk}")).status_code == 404
    for path in ("machine/key", "machine/look"):
        assert door.get(url(rescue, path)).status_code == 405


# What templates say -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fstype", "part_type", "words"),
    [
        ("LVM2_member", "", "part of a volume group"),
        ("crypto_LUKS", "", "encrypted (LUKS): open it by hand with cryptsetup"),
        ("linux_raid_member", "", "part of a RAID that is not put together"),
        ("swap", "", "swap"),
        ("", "BIOS boot", "BIOS boot"),
        ("", "", "no file system seen"),
        ("btrfs", "", "btrfs"),
    ],
)
def test_what_a_volume_holds(fstype: str, part_type: str, words: str) -> None:
    assert words in tags.volume_kind(Volume("/dev/vdb1", "part", 1, fstype, part_type=part_type))


def test_what_was_opened_is_not_called_locked() -> None:
    inner = Volume("/dev/mapper/old", "crypt", 1, "ext4")
    told = tags.volume_kind(Volume("/dev/vdb1", "part", 1, "crypto_LUKS", inside=(inner,)))
    assert told == "encrypted (LUKS), opened"


def test_a_raid_that_was_put_together_needs_nothing_more() -> None:
    array = Volume("/dev/md0", "raid1", 1, "ext4")
    member = Volume("/dev/vdb1", "part", 1, "linux_raid_member", inside=(array,))
    assert tags.volume_kind(member) == "part of a RAID"
    assert tags.disk_notes(Disks((Disk(member, Role.OLD),)), []) == []


def test_volumes_are_listed_with_their_depth() -> None:
    inner = Volume("/dev/vdb1", "part", 1)
    for _level in range(6):
        inner = Volume("/dev/vdb1", "part", 1, inside=(inner,))
    whole = Disk(Volume("/dev/vdb", "disk", 1, inside=(inner,)), Role.OLD)
    assert [depth for _volume, depth in tags.volumes_of(whole)] == [0, 1, 2, 3, 4, 4, 4]
    plain = Disk(Volume("/dev/vdc", "disk", 1, fstype="ext4"), Role.OLD)
    assert [depth for _volume, depth in tags.volumes_of(plain)] == [-1]


def test_tones_and_icons() -> None:
    soon = timezone.now() + timedelta(seconds=1)
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
