"""File systems checked and mended on real devices, and what of it cannot be."""

import subprocess

import pytest

from instances.models import Job
from instances.recovery import jobs, long_run, words
from instances.recovery.repairs import check
from instances.recovery.repairs.check import Found
from tests.instances.recovery.old_disk import facts


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(long_run, "FIRST_LOOKS", 0.05)


def debugfs(disk, *requests, number=2):
    for request in requests:
        subprocess.run(
            ["debugfs", "-w", "-R", request, disk.part(number)], check=True, capture_output=True
        )


@pytest.fixture
def look(do):
    def plan(device, whole=False):
        return do("check", device=device, whole=whole)

    return plan


def test_a_sound_one_has_nothing_to_mend(disk, look):
    before = disk.bytes_of(2)
    job = look(disk.part(2))
    assert (job.state, job.stage, job.problem) == (Job.State.DONE, "look", "")
    assert facts(job.result) == ["check_clean"]
    assert "Pass 5: Checking group summary information" in job.result["output"]
    assert not job.may_undo and not job.may_confirm
    assert disk.bytes_of(2) == before


def test_a_slight_damage_is_looked_at_dry_then_mended(disk, look, go_on):
    debugfs(disk, "set_inode_field /etc links_count 7")
    before = disk.bytes_of(2)
    planned = look(disk.part(2))
    assert (planned.state, planned.problem) == (Job.State.PLANNED, "")
    assert facts(planned.plan) == ["check_errors", "check_will", "check_no_undo"]
    assert "ref count is 7" in planned.plan["output"]
    assert planned.plan["lines"][1][1]["command"] == f"e2fsck -f -p -C 1 {disk.part(2)}"
    assert disk.bytes_of(2) == before
    done = go_on(planned, jobs.confirm)
    assert (done.state, done.problem) == (Job.State.DONE, "")
    assert facts(done.result) == ["check_mended", "check_proven"]
    assert not done.may_undo
    proof = subprocess.run(["e2fsck", "-f", "-n", disk.part(2)], capture_output=True)
    assert proof.returncode == 0


def test_a_grave_damage_needs_everything(disk, look, go_on):
    debugfs(disk, "clri /etc", "set_inode_field <2> links_count 9")
    job = go_on(look(disk.part(2)), jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "check_left_safe")
    assert "UNEXPECTED INCONSISTENCY" in job.result["output"]
    done = go_on(look(disk.part(2), whole=True), jobs.confirm)
    assert (done.state, done.problem) == (Job.State.DONE, "")
    assert "FILE SYSTEM WAS MODIFIED" in done.result["output"]


def test_it_is_not_called_mended_while_errors_are_left(disk, look, go_on, monkeypatch):
    debugfs(disk, "set_inode_field /etc links_count 7")
    tool = check.Tool(check.EXT.look, ("true",), ("true",), check._by_fsck)
    monkeypatch.setitem(check.TOOLS, "ext4", tool)
    job = go_on(look(disk.part(2)), jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "check_left")
    assert "ref count is 7" in job.result["output"]


def test_what_is_mounted_or_unknown_is_refused(disk, do, look, go_on):
    debugfs(disk, "set_inode_field /etc links_count 7")
    do("mount", device=disk.part(2))
    job = look(disk.part(2))
    assert (job.problem, job.problem_args) == ("check_mounted", {"device": disk.part(2)})
    do("unmount")
    planned = look(disk.part(2))
    do("mount", device=disk.part(2))  # between the look and the yes
    assert go_on(planned, jobs.confirm).problem == "check_mounted"
    for device in (disk.part(3), disk.part(4), "/dev/vda; reboot", "/dev/loop999"):
        assert look(device).problem == "no_such_device"


def test_a_superblock_that_is_gone_says_what_the_tool_said(disk, look, monkeypatch):
    run = long_run.run

    def broken(work, name, *argv):
        disk.put(2, disk.bytes_of(2)[:1024] + bytes(4096) + disk.bytes_of(2)[5120:])
        return run(work, name, *argv)

    monkeypatch.setattr(long_run, "run", broken)
    job = look(disk.part(2))
    assert job.problem == "check_failed"
    assert "superblock" in words.problem(job) and "status 8" in words.problem(job)
    assert "superblock" in job.result["output"]


def test_a_check_goes_on_when_nobody_waits_and_the_next_waits_for_it(
    disk, look, monkeypatch, system
):
    monkeypatch.setattr(long_run, "AT_MOST", 0.0)
    monkeypatch.setitem(
        check.TOOLS, "ext4", check.Tool(("sh", "-c", "sleep 1.5; exit 0"), (), (), check._by_fsck)
    )
    job = look(disk.part(2))
    assert (job.state, job.problem) == (Job.State.FAILED, "still_going")
    monkeypatch.undo()
    folder = long_run.FOLDER.format(name="check-" + disk.part(2).removeprefix("/dev/"))
    assert system.within("test", "-d", folder).returncode == 0
    job = look(disk.part(2))
    assert (job.state, facts(job.result)) == (Job.State.DONE, ["check_clean"])
    assert system.within("test", "-d", folder).returncode == 1


def test_one_that_was_killed_is_not_waited_for(disk, look, monkeypatch):
    tool = check.Tool(("sh", "-c", "kill -9 $PPID; sleep 0.3"), (), (), check._by_fsck)
    monkeypatch.setitem(check.TOOLS, "ext4", tool)
    job = look(disk.part(2))
    assert (job.problem, job.problem_args["status"]) == ("check_failed", -1)


def test_a_tool_that_is_not_there_is_named(disk, look, monkeypatch):
    tool = check.Tool(("nosuchfsck", "-n"), (), (), check._by_fsck)
    monkeypatch.setitem(check.TOOLS, "ext4", tool)
    job = look(disk.part(2))
    assert (job.problem, job.problem_args) == ("check_no_tool", {"tool": "nosuchfsck"})


def test_what_only_a_person_should_mend_is_not_offered(disk, look, monkeypatch, alice):
    tool = check.Tool(("sh", "-c", "echo bad; exit 1"), (), (), check._by_plain)
    monkeypatch.setitem(check.TOOLS, "ext4", tool)
    job = look(disk.part(2))
    assert (job.state, facts(job.result)) == (Job.State.DONE, ["check_errors", "check_by_hand"])
    with pytest.raises(jobs.NotPossible):
        jobs.confirm(job=job, by=alice)


def test_it_beats_and_tells_how_far_it_is(disk, look, monkeypatch):
    beats = []
    move = Job.move

    def watched(job, to, **changes):
        beats.append((to, changes.get("result", {}).get("percent"), changes.get("lease_until")))
        return move(job, to, **changes)

    monkeypatch.setattr(Job, "move", watched)
    script = "echo '1 50 100 /dev/loop0p2'; sleep 0.6; echo '5 1 1 /dev/loop0p2'; sleep 0.6"
    tool = check.Tool(("sh", "-c", script), (), (), check._by_fsck)
    monkeypatch.setitem(check.TOOLS, "ext4", tool)
    job = look(disk.part(2))
    assert job.state == Job.State.DONE
    running = [(percent, lease) for to, percent, lease in beats if to == Job.State.RUNNING]
    assert {35, 100} <= {percent for percent, _lease in running}
    assert all(lease for _percent, lease in running)
    assert "output" not in job.result  # how far it is is not what it said


@pytest.mark.parametrize(
    ("read", "status", "found"),
    [
        (check._by_fsck, 0, Found.CLEAN), (check._by_fsck, 1, Found.MENDED),
        (check._by_fsck, 2, Found.MENDED), (check._by_fsck, 3, Found.MENDED),
        (check._by_fsck, 4, Found.ERRORS), (check._by_fsck, 5, Found.ERRORS),
        (check._by_fsck, 8, Found.FAILED), (check._by_fsck, 12, Found.FAILED),
        (check._by_fsck, 16, Found.FAILED), (check._by_fsck, 32, Found.FAILED),
        (check._by_fsck, -1, Found.FAILED), (check._by_plain, 0, Found.CLEAN),
        (check._by_plain, 1, Found.ERRORS), (check._by_plain, 2, Found.FAILED),
    ],
)  # fmt: skip
def test_what_a_status_says(read, status, found):
    assert read(status) is found
