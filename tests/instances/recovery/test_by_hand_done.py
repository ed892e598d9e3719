"""The commands shown to people, typed on a real machine with a real old disk."""

import pytest

from instances.by_hand import GOALS, Facts, Place, recipe
from tests.instances.recovery.old_disk import OLD_KEY, owned

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNAPUCGqBm1nxyYjDBNY/UlpNLZKYBqmIkkpOR3Pcds it's me"
KEYS = "/mnt/home/admin/.ssh/authorized_keys"


@pytest.fixture
def follow(disk, system):
    """Type a goal's commands one after the other, but what asks somebody or is not for here."""
    place = Place(root=disk.part(1), disk=disk.device, seen=True, fstype="ext4")
    facts = Facts(place=place, user="admin", distro="almalinux", public_key=KEY)

    def type_all(goal, *, until=""):
        for _title, steps in recipe(GOALS[goal], facts):
            for step in steps:
                for command in step.commands:
                    if step.where != "rescue" or command.startswith(("nano", "exit")):
                        continue
                    if until and until in command:
                        return
                    # Without a terminal fsck asks nobody: it answers no to all.
                    typed = command.replace("fsck -f", "fsck -f -n")
                    yield command, system.within("sh", "-c", typed)

    return type_all


def test_a_key_is_put_back_as_sshd_wants_it(follow, system):
    for command, done in follow("lost-key", until="umount"):
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert system.tell("cat", KEYS) == f"{OLD_KEY}\n{KEY}\n"
    assert owned(system, KEYS) == ("600", "1000", "1000")
    assert owned(system, "/mnt/home/admin/.ssh") == ("700", "1000", "1000")
    assert owned(system, "/mnt/home/admin") == ("755", "1000", "1000")
    assert system.within("test", "-e", "/mnt/.autorelabel").returncode == 1  # no SELinux there


def test_the_way_back_leaves_nothing_mounted(follow, system):
    for command, done in follow("fstab"):
        # The old fstab names disks that are not there: that is what --verify says.
        assert done.returncode == 0 or command.startswith("findmnt"), f"{command}: {done.stderr}"
        if command.startswith("findmnt"):
            assert "unreachable" in done.stdout + done.stderr
    assert system.within("mountpoint", "-q", "/mnt").returncode != 0


def test_looking_leaves_the_disk_as_it_was(follow, disk, system):
    before = disk.bytes_of(1)
    for goal in ("logs", "copy-out"):
        for command, done in follow(goal):
            if command.startswith(("mount", "df", "cd")):
                assert done.returncode == 0, f"{command}: {done.stderr}"
    assert disk.bytes_of(1) == before


def test_the_check_finds_the_file_system_whole(follow, disk):
    told = [(command, done) for command, done in follow("check-disk") if "fsck" in command]
    assert [done.returncode for _command, done in told] == [0, 0]
    assert all(disk.part(1) in command for command, _done in told)


def test_room_is_looked_for_where_it_is(follow, system):
    for command, done in follow("full-disk", until="truncate"):
        if not command.startswith("journalctl"):
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert "/mnt" in done.stdout or command.startswith(("mount", "find"))
