"""The system found in whichever subvolume of a btrfs its distribution put it, on real ones."""

import contextlib
import shlex
import uuid
from dataclasses import replace

import pytest

from instances.by_hand import GOALS, Facts, place_of, recipe
from instances.by_hand.place import Part
from instances.models import Job, Machine
from instances.recovery import jobs
from tests.instances.recovery import kinds_of_disk
from tests.instances.recovery.kinds_of_disk import SMALLEST, Disk, Kind
from tests.instances.recovery.old_disk import MIB, facts

UUID = "00000000-0000-4000-8000-000000000000"  # in the place of the disk's own
FSTAB = f"UUID={UUID} / btrfs %s 0 0\nUUID={UUID} /home btrfs %s 0 0\n"
SYSTEM = """
mkdir -p {at}/etc {at}/home {at}/root
printf 'root:x:0:0::/root:/bin/sh\\n' > {at}/etc/passwd
printf '%s' '{fstab}' > {at}/etc/fstab
touch {at}/etc/{mark}
"""
SUBVOLUME = 'mkdir -p "$(dirname {at})"; btrfs -q subvolume create {at}; '
DEFAULT = "btrfs subvolume set-default {at}\n"


@pytest.fixture
def btrfs(tmp_path, system):
    """Make an attached btrfs of what a test wants to lie in it."""
    kind = Kind("", "btrfs")
    if reason := kinds_of_disk.why_not(kind):
        pytest.skip(reason)
    disk = Disk(kind, tmp_path / "disk.img", ids={"uuid": str(uuid.uuid4())})
    with disk.image.open("wb") as image:
        image.truncate(SMALLEST["btrfs"] * MIB)

    def make(*scripts):
        kinds_of_disk.run("mkfs.btrfs", "-q", "-U", disk.ids["uuid"], str(disk.image))
        disk.device = disk.root = kinds_of_disk.attach(disk.image, parts=0)
        lay_out = "\n".join(scripts).replace(UUID, disk.ids["uuid"])
        disk.as_root(f"mount {disk.device} /mnt\n{lay_out}\numount /mnt")
        return disk

    yield make
    system.let_go()
    with contextlib.suppress(AttributeError):
        disk.detach()


def part(name, mark="this", *, root="defaults", home="defaults"):
    fstab = FSTAB % (root, home)
    return (SUBVOLUME + SYSTEM).format(at=f"/mnt/{name}", fstab=fstab, mark=mark)


def empty(name):
    return SUBVOLUME.format(at=shlex.quote(f"/mnt/{name}"))


LAYOUTS = {
    "Debian": ([part("@rootfs"), empty("@home")], "@rootfs"),
    "Fedora": ([part("root"), empty("home")], "root"),
    "one of its own": ([part("systems/web-1"), empty("data")], "systems/web-1"),
    "by its fstab": (
        [part("@", mark="older", root="compress=zstd,subvol=/@new"), part("@new")], "@new",
    ),
    "by an fstab that lies": ([part("@", root="subvol=@gone")], "@"),
    "a snapshot that is older": (
        [part("@"), empty(".snapshots"), part(".snapshots/1/snapshot", mark="older")], "@",
    ),
    "the default, as openSUSE's": (
        [empty("@"), part("@/.snapshots/1/snapshot"),
         DEFAULT.format(at="/mnt/@/.snapshots/1/snapshot")], "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_system_is_found(name, btrfs, do, system):
    scripts, folder = LAYOUTS[name]
    disk = btrfs(*scripts)
    job = do("mount", device=disk.root)
    assert (job.state, job.problem) == (Job.State.DONE, "")
    assert system.within("test", "-e", "/mnt/etc/this").returncode == 0
    assert job.result["kept"]["layout"] == [[disk.root, "/", folder]]
    assert ("mounted_part" in facts(job.result)) == bool(folder)


def test_nothing_is_made_up_where_there_is_no_system(btrfs, do):
    disk = btrfs(empty("@"), empty("a b; touch x"), empty("$(id)"), empty("é"))
    job = do("mount", device=disk.root)
    assert facts(job.result) == ["mounted_ro"]
    assert job.result["kept"]["layout"] == [[disk.root, "/", ""]]


@pytest.mark.parametrize("known", [False, True], ids=["not mounted yet", "mounted once"])
def test_the_commands_by_hand_lead_to_the_same_place(known, btrfs, do, system, machine):
    """As Debian lays it out, with a home that is another subvolume."""
    disk = btrfs(part("@rootfs", home="subvol=@home,nofail"), empty("@home"))
    if known:
        assert do("mount", device=disk.root).state == Job.State.DONE
        assert do("unmount").state == Job.State.DONE
    else:
        assert do("look").state == Job.State.DONE
    seen = Machine.objects.get(pk=machine.pk).disks
    ours = tuple(one for one in seen.disks if one.volume.path == disk.root)
    layout = tuple(Part(*one) for one in jobs.layout_seen(machine.rescue))
    place = place_of(replace(seen, disks=ours), layout=layout)
    for _title, steps in recipe(GOALS["fstab"], Facts(place, distro="debian"))[:1]:
        for command in [one for step in steps for one in step.commands]:
            told = system.tell("sh", "-c", command)
            assert not command.startswith("find") or told == "/mnt/@rootfs/etc\n"
    assert system.within("test", "-e", "/mnt/etc/this").returncode == 0
    apart = system.within("mountpoint", "-q", "/mnt/home").returncode == 0
    assert apart == known
