"""Files of a broken disk, on a real server: below the root, whole, in one step, or not at all."""

import shlex
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from instances.ssh import (
    Changed,
    Denied,
    FileTrouble,
    LeavesRoot,
    Login,
    Machine,
    NoFileTransfer,
    NoSpace,
    NoSuchFile,
    NotAFile,
    ReadOnly,
    SshError,
    Target,
    TooMuch,
    connect,
    greet,
)
from instances.ssh.facts import File, HostKey
from tests.instances.ssh.conftest import LOOPBACK
from tests.sshd import PASSWORD, SMALL_DISK, Sshd


@dataclass(frozen=True)
class Disk:
    """The machine's /mnt, or what stands for it, empty at first."""

    machine: Machine
    root: str

    def sh(self, script: str) -> str:
        """Run a script there and return what it wrote."""
        output = self.machine.run("sh", "-ec", f"cd {shlex.quote(self.root)}\n{script}")
        assert output.status == 0, output
        return output.out.decode()

    def at(self, path: str) -> str:
        return f"{self.root}/{path}"

    def read(self, path: str) -> File:
        return self.machine.read(self.at(path), root=self.root)

    def write(self, path: str, data: bytes, like: File | None = None) -> None:
        self.machine.write(self.at(path), data, like, root=self.root)


@pytest.fixture
def disk(machine: Machine, server: Sshd) -> Disk:
    found = Disk(machine, server.root)
    found.sh("find . -mindepth 1 -delete; umask 022; mkdir etc; printf 'old\\n' >etc/file")
    return found


#: each way to reach a file
WAYS: dict[str, Callable[[Machine, str, str], object]] = {
    "read": lambda machine, path, root: machine.read(path, root=root),
    "write": lambda machine, path, root: machine.write(path, b"ours", root=root),
    "keep": lambda machine, path, root: machine.keep_beside(path, "1", root=root),
    "list": lambda machine, path, root: machine.listdir(path, root=root),
    "make": lambda machine, path, root: machine.make_dir(path, 0o700, 0, 0, root=root),
    "own": lambda machine, path, root: machine.set_owner(path, 0o777, 0, 0, root=root),
    "remove": lambda machine, path, root: machine.remove(path, root=root),
    "look": lambda machine, path, root: machine.lstat(path, root=root),
}


# Looking and reading ----------------------------------------------------------------------------


def test_what_a_name_is(disk: Disk) -> None:
    disk.sh("ln -s /etc/shadow link; mkfifo pipe; chmod 2750 etc")
    look = disk.machine.lstat
    found = look(disk.at("etc/file"), root=disk.root)
    assert (found.name, found.kind, found.size, stat.S_IMODE(found.mode)) == (
        "file",
        "file",
        4,
        420,
    )
    assert abs(found.mtime - time.time()) < 60
    assert look(disk.at("link"), root=disk.root).kind == "link"
    assert look(disk.at("pipe"), root=disk.root).kind == "other"
    folder = look(disk.at("etc"), root=disk.root)
    assert (folder.kind, stat.S_IMODE(folder.mode)) == ("dir", 0o2750)
    assert look(disk.root, root=disk.root).kind == "dir"


@pytest.mark.parametrize("data", [b"", b"text\n", bytes(range(256)) * 300, b"\0" * 70_000])
def test_what_is_written_is_read(disk: Disk, data: bytes) -> None:
    disk.write("etc/new", data)
    found = disk.read("etc/new")
    assert (found.data, found.mode) == (data, 0o600)
    assert disk.machine.run("cat", disk.at("etc/new")).out == data


def test_a_limit_is_a_limit(disk: Disk) -> None:
    disk.write("exact", b"x" * 50_000)
    assert len(disk.machine.read(disk.at("exact"), root=disk.root, limit=50_000).data) == 50_000
    with pytest.raises(TooMuch):
        disk.machine.read(disk.at("exact"), root=disk.root, limit=49_999)
    disk.sh("truncate -s 1G huge")
    started = time.monotonic()
    with pytest.raises(TooMuch):
        disk.read("huge")
    assert time.monotonic() - started < 2
    assert disk.read("etc/file").data == b"old\n"


def test_what_does_not_say_how_long_it_is(disk: Disk) -> None:
    # The kernel's own files have no size and yet bytes.
    assert disk.machine.read("/proc/version", root="/proc").data.startswith(b"Linux")
    with pytest.raises(TooMuch):
        disk.machine.read("/proc/version", root="/proc", limit=5)


def test_a_folder_is_listed(disk: Disk) -> None:
    disk.sh("cd etc; touch b a 'c d'; ln -s / link; mkdir sub; touch \"$(printf 'x\\377\\033')\"")
    found = disk.machine.listdir(disk.at("etc"), root=disk.root)
    kinds = {entry.name: entry.kind for entry in found}
    assert kinds == {
        "a": "file",
        "b": "file",
        "c d": "file",
        "file": "file",
        "link": "link",
        "sub": "dir",
        "x\udcff\x1b": "file",
    }
    assert [entry.name for entry in found] == sorted(kinds)
    assert found[-1].label == "x��"
    # A name that is no UTF-8 leads back to its file.
    assert disk.read("etc/x\udcff\x1b").data == b""
    assert len(disk.machine.listdir(disk.at("etc"), 2, root=disk.root)) == 2


def test_a_large_folder_is_listed_in_part(disk: Disk) -> None:
    disk.sh("mkdir many; cd many; seq 1 1500 | xargs touch")
    assert len(disk.machine.listdir(disk.at("many"), root=disk.root)) == 1000
    assert len(disk.machine.listdir(disk.at("many"), 5000, root=disk.root)) == 1500


@pytest.mark.parametrize("name", ["a b", "'", '"', "$(id)", "-rf", "a\nb", "*", "é文", "\\", ";"])
def test_names_are_names(disk: Disk, name: str) -> None:
    disk.write(name, b"data")
    assert disk.read(name).data == b"data"
    assert {entry.name for entry in disk.machine.listdir(disk.root, root=disk.root)} == {
        "etc",
        name,
    }
    disk.machine.remove(disk.at(name), root=disk.root)
    assert disk.sh("ls") == "etc\n"


# Where it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_nothing_beside_the_root(disk: Disk, way: str) -> None:
    root = disk.root
    for path in (
        "/etc/hostname",
        "/",
        "",
        "etc/file",
        f"{root}x/file",
        f"{root}/../etc/hostname",
        f"{root}/etc/../../etc/hostname",
        f"{root}/etc/..",
        f"{root}/etc/file\0",
        f"{root[1:]}/etc/file",
        f"/.{root}/etc/file",
    ):
        with pytest.raises(LeavesRoot) as refused:
            WAYS[way](disk.machine, path, root)
        assert refused.value.link == ""
    assert disk.sh("ls; cat etc/file; stat -c %a etc/file") == "etc\nold\n644\n"


@pytest.mark.parametrize("way", WAYS)
def test_no_link_on_the_way_is_followed(disk: Disk, way: str, server: Sshd) -> None:
    outside = server.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_bytes(b"theirs")
    disk.sh(f"ln -s {shlex.quote(str(outside))} away; ln -s etc inside; ln -s gone dangling")
    for link in ("away", "inside", "dangling"):
        with pytest.raises(LeavesRoot) as refused:
            WAYS[way](disk.machine, disk.at(f"{link}/file"), disk.root)
        assert refused.value.link == disk.at(link)
    assert [one.name for one in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == b"theirs"
    assert disk.read("etc/file").data == b"old\n"


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("make", "look")])
def test_a_link_itself_is_not_followed(disk: Disk, way: str, server: Sshd) -> None:
    outside = server.folder / "outside-file"
    outside.write_bytes(b"theirs")
    disk.sh(f"ln -s {shlex.quote(str(outside))} away; ln -s / top")
    for link in ("away", "top", "top/", "top//", "./top/."):
        with pytest.raises(LeavesRoot) as refused:
            WAYS[way](disk.machine, disk.at(link), disk.root)
        assert refused.value.link == disk.at(link.strip("./"))
    assert outside.read_bytes() == b"theirs"
    assert disk.sh("readlink away top") == f"{outside}\n/\n"


def test_a_link_is_in_the_way_of_a_folder(disk: Disk) -> None:
    disk.sh("ln -s /tmp/not-made away")
    with pytest.raises(Changed):
        disk.machine.make_dir(disk.at("away"), 0o755, 0, 0, root=disk.root)


@pytest.mark.parametrize("way", ["read", "write", "keep", "own", "remove"])
def test_what_is_no_file_is_left_alone(disk: Disk, way: str) -> None:
    disk.sh("mkfifo pipe")
    with pytest.raises(NotAFile):
        WAYS[way](disk.machine, disk.at("pipe"), disk.root)
    assert disk.sh("test -p pipe && echo yes") == "yes\n"
    if way in ("read", "write", "keep"):
        with pytest.raises(NotAFile):
            WAYS[way](disk.machine, disk.at("etc"), disk.root)


def test_the_whole_system_may_be_the_root(disk: Disk) -> None:
    """For the rescue system's own files; a name at the top has a folder too."""
    assert disk.machine.lstat("/etc", root="/").kind == "dir"
    assert disk.machine.lstat("/", root="/").kind == "dir"
    with pytest.raises(NotAFile):
        disk.machine.write("/etc", b"", root="/")
    with pytest.raises(NotAFile):
        disk.machine.write("/", b"", root="/")


@pytest.mark.parametrize("way", ["read", "keep", "own", "remove", "look", "list"])
def test_what_is_not_there_is_said(disk: Disk, way: str) -> None:
    with pytest.raises(NoSuchFile):
        WAYS[way](disk.machine, disk.at("etc/none"), disk.root)
    for every in WAYS.values():
        with pytest.raises(NoSuchFile):
            every(disk.machine, disk.at("none/file"), disk.root)
        with pytest.raises(NotAFile):
            every(disk.machine, disk.at("etc/file/file"), disk.root)


# Links as the broken system follows them --------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ""),
        ("etc/file", "/etc/file"),
        ("etc//./file/", "/etc/file"),
        ("absolute", "/etc/file"),
        ("relative", "/etc/file"),
        ("climbs", "/etc/file"),
        ("folder/file", "/etc/file"),
        ("chain", "/etc/file"),
        ("folder/../etc/file", "/etc/file"),
        ("../../etc/file", "/etc/file"),
    ],
)
def test_links_stay_inside(disk: Disk, path: str, found: str) -> None:
    disk.sh(
        "ln -s /etc/file absolute; ln -s etc/file relative; ln -s ../../../../etc/file climbs\n"
        "ln -s /etc folder; ln -s climbs chain"
    )
    assert disk.machine.resolve(disk.at(path), root=disk.root) == disk.root + found


def test_links_that_lead_nowhere(disk: Disk) -> None:
    disk.sh("ln -s loop2 loop; ln -s loop loop2; ln -s none dangling; ln -s grow/x grow")
    for loop in ("loop", "grow"):
        with pytest.raises(LeavesRoot):
            disk.machine.resolve(disk.at(loop), root=disk.root)
    with pytest.raises(NoSuchFile):
        disk.machine.resolve(disk.at("dangling"), root=disk.root)
    with pytest.raises(LeavesRoot):
        disk.machine.resolve("/etc/passwd", root=disk.root)


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
