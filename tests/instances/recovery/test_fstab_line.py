"""Lines of a real fstab: what is wrong with each, one taken out, and brought back."""

import base64

import pytest

from instances.models import Job
from instances.recovery import jobs, words
from tests.instances.recovery.old_disk import facts

MISSING = 4  # the line with a UUID that is nowhere


@pytest.fixture
def asked(mounted, do):
    """Give what the first look asks."""
    job = do("fstab")
    assert (job.state, job.problem) == (Job.State.PLANNED, "")
    return job


@pytest.fixture
def look(asked, do):
    def plan(number=MISSING):
        return do("fstab", line=number, seen=asked.unsealed()["asks"]["seen"])

    return plan


def raw(system):
    return base64.b64decode(system.tell("base64", "/mnt/etc/fstab"))


def told_of(job):
    return {row["number"]: facts({"lines": row["told"]}) for row in job.unsealed()["asks"]["rows"]}


def test_each_line_is_shown_with_what_is_wrong(asked, alice):
    told = told_of(asked)
    assert told[2] == []  # the root
    assert told[3] == []  # by label, with nofail
    assert told[MISSING] == ["fstab_missing"]
    assert told[7] == ["fstab_no_nofail"]
    assert told[9] == []  # the swap
    assert [row["number"] for row in asked.unsealed()["asks"]["rows"] if row["root"]] == [2]
    # It only asks: there is nothing to say yes to.
    assert not asked.may_confirm
    with pytest.raises(jobs.NotPossible):
        jobs.confirm(job=asked, by=alice)
    assert "UUID" not in str(asked.plan)


def test_a_line_becomes_a_comment_and_comes_back(look, go_on, system):
    before = system.tell("cat", "/mnt/etc/fstab")
    planned = look()
    diff = planned.unsealed()["diff"]
    line = before.splitlines()[MISSING - 1]
    assert f"-{line}\n+# taken out in rescue mode: {line}\n" in diff
    assert system.tell("cat", "/mnt/etc/fstab") == before
    done = go_on(planned, jobs.confirm)
    assert (done.state, done.problem) == (Job.State.DONE, "")
    assert facts(done.result) == ["backed_up", "proven"]
    after = system.tell("cat", "/mnt/etc/fstab").splitlines()
    assert after[MISSING - 1] == f"# taken out in rescue mode: {line}"
    assert len(after) == len(before.splitlines())
    assert go_on(done, jobs.undo).state == Job.State.UNDONE
    assert system.tell("cat", "/mnt/etc/fstab") == before


def test_lines_that_still_stop_the_start_are_named(look):
    assert ["fstab_left", {"lines": str(MISSING)}] in look(5).plan["lines"]


def test_the_root_stays(look, go_on):
    job = look(2)
    assert (job.state, job.problem) == (Job.State.FAILED, "root_line")
    assert "without it nothing starts" in words.problem(job)


def test_what_changed_meanwhile_is_not_touched(look, go_on, system):
    planned = look()
    system.tell("sh", "-c", "echo '# new' >> /mnt/etc/fstab")
    assert go_on(planned, jobs.confirm).problem == "changed_since"
    assert look().problem == "changed_since"


@pytest.mark.parametrize(("number", "problem"), [(1, "pick_a_line"), (99, "pick_a_line")])
def test_a_line_that_mounts_nothing_is_none(look, number, problem):
    assert look(number).problem == problem


def test_hostile_lines_are_shown_as_text_and_kept_byte_for_byte(mounted, do, go_on, system):
    evil = rb"UUID=1 /x\033]0;pwned\007 ext4 \377<script>alert(1)</script>\014UUID=2 /y ext4"
    system.tell("sh", "-c", f"printf '{evil.decode()}\\n' >> /mnt/etc/fstab")
    system.tell("sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x >> /mnt/etc/fstab")
    first = do("fstab")
    row = first.unsealed()["asks"]["rows"][-1]
    assert "\x1b" not in row["text"] and "\x07" not in row["text"]
    assert len(row["text"]) <= 300
    planned = do("fstab", line=row["number"], seen=first.unsealed()["asks"]["seen"])
    before = raw(system)
    lines = before.split(b"\n")
    assert lines[row["number"] - 1].startswith(b"UUID=1 /x\x1b]0;pwned\x07 ext4 \xff<script>")
    lines[row["number"] - 1] = b"# taken out in rescue mode: " + lines[row["number"] - 1]
    done = go_on(planned, jobs.confirm)
    assert done.state == Job.State.DONE
    assert raw(system) == b"\n".join(lines)
    assert go_on(done, jobs.undo).state == Job.State.UNDONE
    assert raw(system) == before


def test_without_an_fstab_or_a_disk_it_says_so(disk, do, system):
    assert do("fstab").problem == "not_mounted"
    do("mount", device=disk.part(1), writable=True)
    system.tell("sh", "-c", "echo '# nothing' > /mnt/etc/fstab")
    assert do("fstab").problem == "fstab_empty"
    system.tell("rm", "/mnt/etc/fstab")
    assert do("fstab").problem == "no_fstab"
    system.tell("ln", "-s", "/etc/fstab", "/mnt/etc/fstab")
    assert do("fstab").problem == "ssh_leaves_root"
