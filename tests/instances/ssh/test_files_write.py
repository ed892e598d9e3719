"""Writing to a broken disk, on a real server: in one step, with its rights, or not at all."""

import stat
from collections.abc import Callable

import pytest

from instances.ssh import (
    Changed,
    Denied,
    FileTrouble,
    Login,
    NoFileTransfer,
    NoSpace,
    NotAFile,
    ReadOnly,
    SshError,
    Target,
    connect,
    greet,
)
from instances.ssh.facts import File, HostKey
from tests.instances.ssh.disk import WAYS, Disk
from tests.instances.ssh.hostile import LOOPBACK
from tests.sshd import PASSWORD, SMALL_DISK, Sshd

# Writing ----------------------------------------------------------------------------------------


def test_a_file_keeps_its_rights(disk: Disk) -> None:
    disk.sh("chmod 6751 etc/file")
    disk.write("etc/file", b"new\n")
    assert disk.sh("cat etc/file; stat -c %a etc/file; ls -A etc") == "new\n6751\nfile\n"


def test_rights_may_be_another_files(disk: Disk) -> None:
    disk.sh("chmod 640 etc/file")
    disk.write("etc/other", b"data", disk.read("etc/file"))
    assert disk.sh("stat -c %a etc/other") == "640\n"


def test_owners_are_kept(apart: Sshd, disk: Disk) -> None:
    disk.sh("chown 4242:4243 etc/file; chmod 4755 etc/file")
    kept = disk.read("etc/file")
    assert (kept.uid, kept.gid, kept.mode) == (4242, 4243, 0o4755)
    disk.write("etc/file", b"new")
    disk.write("etc/like", b"new", kept)
    _file, copy = disk.machine.keep_beside(disk.at("etc/file"), "1", root=disk.root)
    for path in ("etc/file", "etc/like", copy):
        assert disk.sh(f"stat -c '%u %g %a' {path}") == "4242 4243 4755\n"


def test_only_what_was_read_is_replaced(disk: Disk) -> None:
    path, read = disk.at("etc/file"), disk.read("etc/file")
    disk.machine.write(path, b"new", root=disk.root, instead_of=read)
    for change in ("printf longer >etc/file", "chmod 600 etc/file", "touch -d @9 etc/file"):
        read = disk.read("etc/file")
        disk.sh(change)
        with pytest.raises(Changed):
            disk.machine.write(path, b"never", root=disk.root, instead_of=read)
    disk.machine.remove(path, root=disk.root)
    with pytest.raises(Changed):
        disk.machine.write(path, b"never", root=disk.root, instead_of=read)
    assert disk.sh("ls -A etc") == ""


def test_other_names_keep_the_old_content(disk: Disk) -> None:
    disk.sh("ln etc/file etc/twin")
    disk.write("etc/file", b"new\n")
    assert disk.sh("cat etc/twin etc/file") == "old\nnew\n"


def test_a_copy_is_kept_beside(disk: Disk) -> None:
    disk.sh("chmod 604 etc/file")
    kept, copy = disk.machine.keep_beside(disk.at("etc/file"), "20260101", root=disk.root)
    assert copy == disk.at("etc/file.before-rescue-20260101")
    assert kept.data == b"old\n"
    assert disk.sh(f"cat {copy}; stat -c %a {copy}") == "old\n604\n"
    disk.write("etc/file", b"changed")
    with pytest.raises(Changed):  # the first copy is the one that counts
        disk.machine.keep_beside(disk.at("etc/file"), "20260101", root=disk.root)
    assert disk.sh(f"cat {copy}") == "old\n"


def test_folders_are_made_and_removed(disk: Disk) -> None:
    me = disk.machine.lstat(disk.root, root=disk.root)
    where = disk.at("etc/.ssh")
    disk.machine.make_dir(where, 0o40700 | stat.S_ISGID, me.uid, me.gid, root=disk.root)
    assert disk.sh("stat -c %a etc/.ssh") == "2700\n"
    with pytest.raises(Changed):
        disk.machine.make_dir(where, 0o700, me.uid, me.gid, root=disk.root)
    disk.machine.set_owner(where, 0o755, me.uid, me.gid, root=disk.root)
    assert disk.sh("stat -c %a etc/.ssh") == "755\n"
    disk.write("etc/.ssh/authorized_keys", b"key")
    with pytest.raises(FileTrouble):  # not empty
        disk.machine.remove(where, root=disk.root)
    disk.machine.remove(f"{where}/authorized_keys", root=disk.root)
    disk.machine.remove(where, root=disk.root)
    assert disk.sh("ls -A etc") == "file\n"


def test_the_root_is_not_written_to(disk: Disk) -> None:
    for way in ("write", "make"):
        with pytest.raises(NotAFile):
            WAYS[way](disk.machine, disk.root, disk.root)


# What the machine says no to --------------------------------------------------------------------


def test_a_full_disk_is_said(apart: Sshd, disk: Disk) -> None:
    with pytest.raises(NoSpace):
        disk.write("etc/file", b"x" * (SMALL_DISK + 1))
    assert disk.sh("cat etc/file; ls -A etc") == "old\nfile\n"
    disk.write("etc/file", b"there is room again")


def test_a_read_only_disk_is_said(apart: Sshd, disk: Disk) -> None:
    disk.sh("mount -o remount,ro /mnt")
    try:
        for way in ("write", "own", "remove"):
            with pytest.raises(ReadOnly):
                WAYS[way](disk.machine, disk.at("etc/file"), disk.root)
        with pytest.raises(ReadOnly):
            WAYS["make"](disk.machine, disk.at("etc/folder"), disk.root)
        assert disk.read("etc/file").data == b"old\n"
    finally:
        disk.sh("mount -o remount,rw /mnt")


def test_who_may_not_is_told(apart: Sshd, disk: Disk, target: Target, host_key: HostKey) -> None:
    disk.sh("chmod 600 etc/file; mkdir -m 700 closed; mkdir -m 777 open")
    with connect(target, host_key, Login("rescued", PASSWORD)) as machine:
        for way in ("read", "own", "remove"):
            with pytest.raises(Denied):
                WAYS[way](machine, disk.at("etc/file"), disk.root)
        with pytest.raises(Denied):
            machine.write(disk.at("etc/new"), b"", root=disk.root)
        with pytest.raises(Denied):
            machine.listdir(disk.at("closed"), root=disk.root)
        # A file that cannot be given away is not left behind half made.
        with pytest.raises(Denied):
            machine.write(disk.at("open/a"), b"", File(b"", 0o644, 0, 0, 0), root=disk.root)
        machine.write(disk.at("open/b"), b"", root=disk.root)
    assert disk.sh("ls -A etc open") == "etc:\nfile\n\nopen:\nb\n"


def test_a_name_that_is_too_long_is_trouble(disk: Disk) -> None:
    with pytest.raises(FileTrouble):
        disk.write("x" * 300, b"")


@pytest.mark.parametrize("option", ["ForceCommand /bin/false", "ForceCommand echo hello there"])
def test_a_server_without_file_transfer(another: Callable[..., Sshd], option: str) -> None:
    bare = another("bare", option)
    target = Target("127.0.0.1", bare.port, LOOPBACK)
    login = Login(bare.user, private_key=bare.private_key)
    with connect(target, greet(target), login) as machine:
        for way in WAYS.values():
            with pytest.raises(NoFileTransfer):
                way(machine, f"{bare.root}/etc", bare.root)
        # and the connection is still good for commands
        assert machine.run("anything").status in (0, 1)


def test_nothing_the_machine_writes_is_in_an_error(disk: Disk) -> None:
    with pytest.raises(SshError) as refused:
        disk.read("etc/none")
    assert str(refused.value) == ""
