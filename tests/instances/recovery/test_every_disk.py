"""The five repairs on every kind of disk: looked at, done, proven, undone, and the disk clean."""

import pytest

from instances.models import Job, Machine
from instances.recovery import jobs, long_run
from tests.instances.recovery import five, kinds_of_disk
from tests.instances.recovery.kinds_of_disk import KINDS, Disk


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(long_run, "FIRST_LOOKS", 0.05)


@pytest.fixture
def old(request, tmp_path, system):
    """Give an attached disk of the kind asked for."""
    kind = KINDS[request.param]
    if reason := kinds_of_disk.why_not(kind):
        pytest.skip(reason)
    disk = Disk(kind, tmp_path / "disk.img")
    try:
        disk.make(tmp_path)
        yield disk
    finally:
        system.let_go()
        disk.detach()


@pytest.mark.parametrize("old", KINDS, indirect=True)
def test_five_repairs(old, do, go_on, system, machine):
    if old.kind.damage:
        old.as_root(old.kind.damage)
        five.check_mends(old.root, do, go_on, codes=kinds_of_disk.MENDED[old.kind.fstype])
    assert five.finds_sound(old.root, do)

    looked = do("mount", device=old.root)
    assert (looked.state, looked.problem) == (Job.State.DONE, "")
    assert jobs.users_seen(machine.rescue)[:2] == ["admin", "fresh"]
    assert system.within("touch", "/mnt/etc/x").returncode != 0
    assert do("mount", device=old.root, writable=True).state == Job.State.DONE
    for name in five.REPAIRS:
        five.repair_and_undo(name, do, go_on, system.tell)
    five.repair("ssh_key", do, go_on, system.tell)
    assert do("check", device=old.root).problem == "check_mounted"

    assert do("unmount").state == Job.State.DONE
    assert Machine.objects.get().disks.mounted_below("/mnt") == []
    assert five.finds_sound(old.root, do)
    do("mount", device=old.root)
    assert five.REPAIRS["ssh_key"].shows(system.tell)
