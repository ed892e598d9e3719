"""XFS and FAT, checked and mended with their own tools on real devices."""

import shutil
import subprocess

import pytest

from instances.models import Job
from instances.recovery import jobs, long_run, words
from tests.instances.recovery.old_disk import facts, run


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(long_run, "FIRST_LOOKS", 0.05)


@pytest.fixture
def attach(tmp_path, system):
    """Attach a disk of its own, with one file system on all of it."""
    attached = []

    def made(size, *make):
        if not shutil.which(make[0]):
            pytest.skip(f"not installed: {make[0]}")
        image = tmp_path / f"{len(attached)}.img"
        with image.open("wb") as file:
            file.truncate(size << 20)
        run(*make, str(image))
        attached.append(run("losetup", "-f", "--show", str(image)).strip())
        return attached[-1]

    yield made
    for device in attached:
        run("losetup", "-d", device)


def test_an_xfs_is_looked_at_dry_then_mended(attach, do, go_on):
    device = attach(300, "mkfs.xfs", "-q")
    assert facts(do("check", device=device).result) == ["check_clean"]
    run("xfs_db", "-x", "-c", "inode 128", "-c", "write core.nlinkv2 9", device)
    planned = do("check", device=device)
    assert (planned.state, planned.problem) == (Job.State.PLANNED, "")
    assert planned.plan["lines"][1][1]["command"] == f"xfs_repair {device}"
    done = go_on(planned, jobs.confirm)
    assert (done.state, facts(done.result)) == (Job.State.DONE, ["check_mended", "check_proven"])


def cut_off(device):
    """Leave an XFS as a power cut does, with a directory of before that is damaged besides."""
    script = f"""mount {device} /mnt; mkdir /mnt/before; stat -c %i /mnt/before; umount /mnt
    mount {device} /mnt; mkdir /mnt/last; sync -f /mnt
    xfs_io -x -c 'shutdown -f' /mnt; umount /mnt"""
    return run("unshare", "-m", "sh", "-ec", script).strip()


def test_the_log_of_an_xfs_that_was_cut_off_comes_before_its_mending(attach, do, go_on):
    device = attach(300, "mkfs.xfs", "-q")
    inode = cut_off(device)
    run("xfs_db", "-x", "-c", f"inode {inode}", "-c", "write core.nlinkv2 9", device)
    planned = do("check", device=device)
    assert (planned.state, planned.problem) == (Job.State.PLANNED, "")
    assert facts(planned.plan) == ["check_log", "check_will_replay", "check_no_undo"]
    assert planned.plan["lines"][1][1]["command"] == f"xfs_repair {device}"
    assert subprocess.run(["xfs_repair", device], capture_output=True).returncode == 2  # refused
    done = go_on(planned, jobs.confirm)
    assert (done.state, facts(done.result)) == (Job.State.DONE, ["check_mended", "check_proven"])
    listed = run("unshare", "-m", "sh", "-ec", f"mount -o ro {device} /mnt; ls /mnt")
    assert listed.split() == ["before", "last"]  # what was done last is not lost


def test_a_log_that_cannot_be_put_in_place_is_not_thrown_away(attach, do, go_on):
    device = attach(300, "mkfs.xfs", "-q")
    cut_off(device)
    planned = do("check", device=device)
    run("blockdev", "--setro", device)
    try:
        job = go_on(planned, jobs.confirm)
    finally:
        run("blockdev", "--setrw", device)
    assert (job.state, job.problem) == (Job.State.FAILED, "check_log_stuck")
    assert "copy the disk first" in words.problem(job) and "mount: " in words.problem(job)
    assert facts(go_on(do("check", device=device), jobs.confirm).result)[0] == "check_replayed"


def test_a_fat_is_looked_at_dry_then_mended(attach, do, go_on):
    device = attach(8, "mkfs.fat", "-F", "12")
    with open(device, "r+b") as raw:  # the second copy of its table tells another story
        raw.seek(_second_table(device) + 8)
        raw.write(b"\x55\x55\x55\x55")
    planned = do("check", device=device)
    assert (planned.state, planned.problem) == (Job.State.PLANNED, "")
    done = go_on(planned, jobs.confirm)
    assert (done.state, facts(done.result)) == (Job.State.DONE, ["check_mended", "check_proven"])
    assert subprocess.run(["fsck.fat", "-n", device], capture_output=True).returncode == 0


def _second_table(device):
    with open(device, "rb") as raw:
        boot = raw.read(512)
    sector = int.from_bytes(boot[11:13], "little")
    reserved, length = boot[14:16], boot[22:24]
    return sector * (int.from_bytes(reserved, "little") + int.from_bytes(length, "little"))
