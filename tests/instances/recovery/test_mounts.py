"""Disks looked at, mounted and let go of: real ones, over a real SSH connection."""

import subprocess

import pytest

from instances.disks import Disk, Disks, Role, Volume
from instances.models import Job, Machine
from instances.recovery import fstab, jobs, mounts, subvolumes, words
from tests.instances.recovery.old_disk import facts, run


def seen(machine):
    return Machine.objects.get(pk=machine.pk).disks


def sentences(job):
    return [words.sentence(one) for one in job.result["lines"]]


def test_a_look_tells_the_disks(disk, do, machine):
    job = do("look")
    assert (job.state, job.problem) == (Job.State.DONE, "")
    disks = seen(machine)
    assert sentences(job) == [f"Disks seen: {len(disks.disks)}"]
    (old,) = [one for one in disks.disks if one.volume.path == disk.device]
    assert old.role == "old"
    kinds = {volume.path: volume.fstype for volume in old.volume.walk()}
    assert kinds == {
        disk.device: "", disk.part(1): "ext4", disk.part(2): "ext4", disk.part(3): "swap",
        disk.part(4): "",
    }  # fmt: skip
    assert disks.volume(disk.part(1)).uuid == disk.template.uuids["root"]
    offered = [volume.path for volume in disks.mountable]
    assert {disk.part(1), disk.part(2)} <= {*offered}
    assert not {disk.part(3), disk.part(4), disk.device} & {*offered}
    assert Machine.objects.get(pk=machine.pk).surveyed_at


def test_a_read_only_mount_changes_not_one_byte(disk, do, machine, system):
    do("mount", device=disk.part(1), writable=True)
    system.tell("sh", "-c", "echo x > /mnt/home/x; sync")
    cut_off = disk.bytes_of(1)  # as the machine left it when it broke: its journal is not empty
    do("unmount")
    disk.put(1, cut_off)
    before = disk.bytes_of(1), disk.bytes_of(2)
    job = do("mount", device=disk.part(1))
    assert (job.state, job.problem) == (Job.State.DONE, "")
    mount = seen(machine).mounted_at("/mnt")
    assert (mount.source, mount.writable) == (disk.part(1), False)
    assert {"nosuid", "nodev", "noexec"} <= {*mount.options}
    assert "admin:x:1000" in system.tell("cat", "/mnt/etc/passwd")
    assert system.within("touch", "/mnt/x").returncode
    assert do("unmount").state == Job.State.DONE
    assert (disk.bytes_of(1), disk.bytes_of(2)) == before


def test_the_old_fstab_is_followed_where_it_may_be(disk, do, machine):
    job = do("mount", device=disk.part(1))
    mounted = {mount.target: mount.source for mount in seen(machine).mounted_below("/mnt")}
    # Not /var, whose disk is not there, nor /opt, which is not; nothing odd, nothing outside.
    assert mounted == {
        "/mnt": disk.part(1), "/mnt/srv": disk.part(2), "/mnt/boot": disk.part(2),
    }  # fmt: skip
    assert sentences(job)[0] == (
        f"{disk.part(1)} is mounted on /mnt, read-only. Nothing on it was changed."
    )
    assert f"{disk.part(2)} is mounted on /mnt/srv, as the old fstab says." in sentences(job)


def test_who_may_log_in_there_is_listed(disk, do, machine):
    do("mount", device=disk.part(1))
    assert jobs.users_seen(machine.rescue) == ["admin", "fresh", "away", "linked", "root"]
    do("mount", device=disk.part(2))  # its /etc/passwd leads out of it
    assert jobs.users_seen(machine.rescue) == []


def test_changes_are_allowed_on_a_word(disk, do, machine, system):
    do("mount", device=disk.part(1))
    job = do("mount", device=disk.part(1), writable=True)
    assert facts(job.result)[0] == "mounted_rw"
    assert seen(machine).mounted_at("/mnt").writable
    system.tell("touch", "/mnt/home/x")
    assert seen(machine).mounted_below("/mnt")[0].writable
    job = do("unmount")
    assert sentences(job) == [
        "Everything is written to the disk; nothing is mounted on /mnt any more."
    ]
    assert seen(machine).mounted_below("/mnt") == []


def test_a_disk_in_use_is_not_torn_away(disk, do, machine, system):
    do("mount", device=disk.part(1))
    command = ["nsenter", "-m", "-t", str(system.process.pid)]
    busy = subprocess.Popen(
        [*command, "sh", "-c", "cd /mnt/etc; echo in; exec sleep 60"], stdout=subprocess.PIPE
    )
    try:
        assert busy.stdout.readline() == b"in\n"
        job = do("unmount")
        assert (job.state, job.problem) == (Job.State.FAILED, "in_use")
        assert "busy" in words.problem(job) and "Leave the directory" in words.problem(job)
        assert seen(machine).mounted_at("/mnt")
        job = do("mount", device=disk.part(2))
        assert job.problem == "in_use"
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()
    assert do("unmount").state == Job.State.DONE


def test_nothing_is_there_to_unmount(disk, do):
    job = do("unmount")
    assert (job.state, job.problem) == (Job.State.FAILED, "nothing_mounted")
    assert words.problem(job) == "Nothing is mounted on /mnt."


@pytest.mark.parametrize("which", [3, 4])
def test_what_holds_no_file_system_is_not_mounted(disk, do, which):
    job = do("mount", device=disk.part(which))
    assert job.problem == "no_such_device"


def test_only_what_was_seen_is_mounted(disk, do, system):
    for device in ("/dev/vdq9", "/dev/vda; touch /tmp/owned", "-o bind /etc", "../etc", ""):
        job = do("mount", device=device)
        assert (job.problem, job.problem_args) == ("no_such_device", {"device": device})
    own = system.tell("findmnt", "-no", "SOURCE", "/").strip()
    assert do("mount", device=own).problem == "no_such_device"


def test_a_label_in_a_shells_words_is_a_label(disk, do, machine, system):
    label = "$(touch /x)`id`;"
    run("tune2fs", "-L", label, disk.part(1))
    do("look")
    assert seen(machine).volume(disk.part(1)).label == label
    job = do("mount", device=disk.part(1))
    assert (job.state, job.problem) == (Job.State.DONE, "")
    assert system.within("test", "-e", "/x").returncode == 1


def test_a_damaged_file_system_says_why_it_cannot_be_mounted(disk, do, machine):
    group = 13 * 1024 * 1024 + 2048
    with open(disk.device, "r+b", buffering=0) as raw:
        raw.seek(group)
        raw.write(b"\xff" * 4096)  # the table of the block groups, behind the superblock
    job = do("mount", device=disk.part(2))
    assert (job.state, job.problem) == (Job.State.FAILED, "mount_failed")
    assert f"{disk.part(2)} could not be mounted: mount: " in words.problem(job)
    assert seen(machine).mounted_at("/mnt") is None
    job = do("mount", device=disk.part(1))  # whose fstab has it on /srv and /boot
    assert (job.state, job.problem) == (Job.State.DONE, "")
    assert facts(job.result) == ["mounted_ro", "mounted_not", "mounted_not"]
    assert f"{disk.part(2)} should be mounted on /mnt/srv, as the old fstab" in sentences(job)[1]
    assert job.result["kept"]["layout"] == [[disk.part(1), "/", ""]]


def test_a_bind_mount_on_the_way_does_not_hide_the_device(disk, do, machine, system):
    do("mount", device=disk.part(1), writable=True)
    system.tell("mount", "--bind", "/mnt/home", "/mnt/var")
    do("look")
    assert {m.target: m.source for m in seen(machine).mounted_below("/mnt")}["/mnt/var"] == (
        disk.part(1)
    )
    assert do("unmount").state == Job.State.DONE


OWN = Volume(
    "/dev/vdb", "disk", 99,
    inside=(
        Volume("/dev/vdb1", "part", 50, "ext4", "boot", "1111-AAAA", part_uuid="p-1"),
        Volume("/dev/vdb2", "part", 9, "LVM2_member", uuid="pv",
               inside=(Volume("/dev/mapper/my--vg-home", "lvm", 9, "xfs", uuid="AB-CD"),)),
        Volume("/dev/vdb3", "part", 9, "swap", uuid="S1"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("UUID=ab-cd", "/dev/mapper/my--vg-home"),
        ("/dev/mapper/my--vg-home", "/dev/mapper/my--vg-home"),
        ("/dev/my-vg/home", "/dev/mapper/my--vg-home"),
        ("PARTUUID=p-1", "/dev/vdb1"),
        ("/dev/disk/by-label/boot", "/dev/vdb1"),
        ("/dev/vdb1", None),  # it was another disk's before there was one for the rescue
        ("UUID=S1", None),
        ("UUID=", None),
        ("LABEL=twice", None),
    ],
)
def test_what_a_line_of_the_old_fstab_names(name, found):
    twice = [
        Disk(Volume(f"/dev/vd{letter}", "disk", 9, "ext4", "twice"), Role.OLD) for letter in "cd"
    ]
    seen = mounts._named(Disks((Disk(OWN, Role.OLD), *twice)), name)
    assert (seen.path if seen else None) == found


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("UUID=1 /home btrfs subvol=@home,compress=zstd 0 0", "@home"),
        ("UUID=1 /home btrfs defaults 0 0", ""),
        ("UUID=1 /home btrfs subvol=@/.snapshots/1/home", "@/.snapshots/1/home"),
        ("UUID=1 / btrfs rw,subvolid=256,subvol=/@", "@"),
        ("UUID=1 /home btrfs subvol=@/../..", ""),
        ("UUID=1 /home btrfs subvol=a\\040b", ""),
        ("UUID=1 /home btrfs subvol=$(id)", ""),
        ("UUID=1 /home ext4 subvol=@home", ""),
    ],
)
def test_which_part_of_a_btrfs_a_line_mounts(line, part):
    (entry,) = fstab.entries(line)
    assert subvolumes.of_line(entry) == part
