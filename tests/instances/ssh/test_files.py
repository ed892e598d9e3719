"""Files of a broken disk, on a real server: below the root, whole, or not at all."""

import shlex
import stat
import time

import pytest

from instances.ssh import (
    Changed,
    LeavesRoot,
    NoSuchFile,
    NotAFile,
    TooMuch,
)
from tests.instances.ssh.disk import WAYS, Disk
from tests.sshd import Sshd

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
    assert time.monotonic() - started < 6
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
