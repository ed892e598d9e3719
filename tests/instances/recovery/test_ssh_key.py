"""An SSH key put back on a real disk: looked at, done, proven, taken back."""

import subprocess

import pytest

from instances import ssh
from instances.models import Job
from instances.recovery import changes, jobs, words
from instances.recovery.work import CannotDo
from tests.instances.recovery.old_disk import OLD_KEY, facts, owned

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNAPUCGqBm1nxyYjDBNY/UlpNLZKYBqmIkkpOR3Pcds"
KEYS = "/home/admin/.ssh/authorized_keys"


@pytest.fixture
def look(do):
    def plan(user="admin", **params):
        return do("ssh_key", **{"user": user, "public_key": KEY, "key_name": "alice@work"} | params)

    return plan


def sentences(job, told):
    return [words.sentence(one) for one in told]


def test_a_look_shows_line_by_line_what_would_change(mounted, look, system):
    job = look()
    assert (job.state, job.problem) == (Job.State.PLANNED, "")
    assert sentences(job, job.plan["lines"]) == [
        "Directory /home/admin gets the rights 0755 and its owner.",
        "Directory /home/admin/.ssh gets the rights 0700 and its owner.",
        f"{KEYS} is changed. A back-up stays beside it, in /home/admin/.ssh.",
    ]
    diff = job.unsealed()["diff"]
    assert f"+{KEY} alice@work\n" in diff
    assert f" {OLD_KEY}\n" in diff or f"-{OLD_KEY}\n+{OLD_KEY}\n" in diff
    # What the diff holds is nobody else's business.
    assert KEY not in str(job.plan) and "alice@work" not in job.sealed
    # And nothing was written.
    assert system.tell("cat", f"/mnt{KEYS}") == OLD_KEY
    assert owned(system, f"/mnt{KEYS}") == ("644", "1000", "1000")


def test_it_is_done_with_the_rights_sshd_insists_on(mounted, look, go_on, system):
    job = go_on(look(), jobs.confirm)
    assert (job.state, job.problem) == (Job.State.DONE, "")
    assert system.tell("cat", f"/mnt{KEYS}") == f"{OLD_KEY}\n{KEY} alice@work\n"
    assert owned(system, "/mnt/home/admin") == ("755", "1000", "1000")
    assert owned(system, "/mnt/home/admin/.ssh") == ("700", "1000", "1000")
    assert owned(system, f"/mnt{KEYS}") == ("600", "1000", "1000")
    listed = system.tell("ssh-keygen", "-lf", f"/mnt{KEYS}")
    assert "alice@work (ED25519)" in listed
    backup = job.result["kept"]["changed"][-1]["backup"]
    assert backup.startswith(f"{KEYS}.rescue-20")
    assert system.tell("cat", f"/mnt{backup}") == OLD_KEY
    assert owned(system, f"/mnt{backup}") == ("644", "1000", "1000")
    assert sentences(job, job.result["lines"]) == [
        f"{KEYS} was changed. As it was, it lies in {backup}.",
        "Read again from the disk: it is as it should be.",
    ]
    assert job.sealed == ""


def test_it_is_taken_back_as_it_was(mounted, look, go_on, system):
    done = go_on(look(), jobs.confirm)
    job = go_on(done, jobs.undo)
    assert (job.state, job.problem) == (Job.State.UNDONE, "")
    assert system.tell("cat", f"/mnt{KEYS}") == OLD_KEY
    assert owned(system, f"/mnt{KEYS}") == ("644", "1000", "1000")
    assert owned(system, "/mnt/home/admin/.ssh") == ("755", "1000", "1000")
    assert owned(system, "/mnt/home/admin") == ("775", "1000", "1000")
    assert system.tell("ls", "-A", "/mnt/home/admin/.ssh").split() == ["authorized_keys"]
    assert f"{KEYS} is as it was before." in sentences(job, job.result["undone"])


def test_a_user_who_never_had_one_gets_the_folder_too(mounted, look, go_on, system):
    planned = look("fresh")
    assert facts(planned.plan) == ["will_make_directory", "will_make"]
    done = go_on(planned, jobs.confirm)
    assert facts(done.result) == ["made_new", "proven"]
    assert owned(system, "/mnt/home/fresh/.ssh") == ("700", "1001", "1001")
    assert owned(system, "/mnt/home/fresh/.ssh/authorized_keys") == ("600", "1001", "1001")
    assert go_on(done, jobs.undo).state == Job.State.UNDONE
    assert system.tell("ls", "-A", "/mnt/home/fresh") == ""


def test_the_key_is_on_the_disk_after_it_was_let_go(mounted, look, go_on, do):
    go_on(look(), jobs.confirm)
    assert do("unmount").state == Job.State.DONE
    asked = ["debugfs", "-R", f"cat {KEYS}", mounted.part(1)]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert f"{KEY} alice@work\n" in found.stdout


def test_a_key_that_is_there_needs_nothing(mounted, look, go_on):
    go_on(look(), jobs.confirm)
    job = look()
    assert (job.state, job.problem) == (Job.State.FAILED, "nothing_to_change")


def test_a_key_behind_options_does_not_count(mounted, look, system):
    with_options = f'command="/bin/false" {KEY} alice@work'
    system.tell("sh", "-c", f"echo '{with_options}' > /mnt{KEYS}")
    diff = look().unsealed()["diff"]
    assert f" {with_options}\n+{KEY} alice@work\n" in diff


def test_what_changed_since_the_look_is_not_written_over(mounted, look, go_on, system):
    planned = look()
    system.tell("sh", "-c", f"echo else > /mnt{KEYS}")
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "changed_since")
    assert system.tell("cat", f"/mnt{KEYS}") == "else\n"
    assert words.problem(job) == "The files changed since you looked. Look again."


def test_what_changed_after_it_is_not_taken_back(mounted, look, go_on, system):
    done = go_on(look(), jobs.confirm)
    system.tell("sh", "-c", f"echo more >> /mnt{KEYS}")
    job = go_on(done, jobs.undo)
    assert (job.state, job.problem) == (Job.State.FAILED, "changed_after")
    assert KEYS in words.problem(job)
    assert system.tell("cat", f"/mnt{KEYS}").endswith("more\n")


def test_taking_back_can_be_tried_again(mounted, look, go_on, do, system):
    """It fails on a disk mounted read-only, which says to allow changes and try again."""
    done = go_on(look(), jobs.confirm)
    do("mount", device=mounted.part(1))
    job = go_on(done, jobs.undo)
    assert (job.state, job.problem) == (Job.State.FAILED, "read_only")
    do("mount", device=mounted.part(1), writable=True)
    job = go_on(job, jobs.undo)
    assert (job.state, job.problem) == (Job.State.UNDONE, "")
    assert system.tell("cat", f"/mnt{KEYS}") == OLD_KEY


def test_a_disk_mounted_read_only_is_looked_at_and_not_changed(disk, do, look, go_on):
    do("mount", device=disk.part(1))
    planned = look()
    assert facts(planned.plan)[-1] == "will_need_writable"
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "read_only")
    assert not job.may_undo


def test_without_a_disk_there_is_nothing_to_repair(disk, do, look, go_on):
    assert look().problem == "not_mounted"
    do("mount", device=disk.part(1), writable=True)
    planned = look()
    done = go_on(planned, jobs.confirm)
    do("unmount")
    assert go_on(done, jobs.undo).problem == "not_mounted"


@pytest.mark.parametrize(
    ("user", "problem"),
    [("nosuch", "no_such_user"), ("away", "home_missing"), ("linked", "ssh_leaves_root")],
)
def test_a_user_it_cannot_be_done_for_is_refused_at_the_look(mounted, look, user, problem):
    job = look(user)
    assert (job.state, job.problem) == (Job.State.FAILED, problem)
    assert words.problem(job)


def test_links_of_the_old_disk_are_not_followed(mounted, look, system, tmp_path):
    target = f"{tmp_path}/rescue-system-own"
    system.tell("sh", "-c", f"echo own > {target}")
    system.tell("sh", "-c", f"rm /mnt{KEYS}; ln -s {target} /mnt{KEYS}")
    assert look().problem == "ssh_leaves_root"
    system.tell("sh", "-c", "rm -r /mnt/home/admin/.ssh; ln -s /tmp /mnt/home/admin/.ssh")
    assert look().problem == "ssh_leaves_root"
    assert system.tell("cat", target) == "own\n"
    system.tell("rm", target)


def test_a_back_up_never_goes_where_a_link_lies_in_wait(
    mounted, look, system, go_on, monkeypatch, tmp_path
):
    monkeypatch.setattr(jobs, "STAMP", "guessed")
    target = f"{tmp_path}/rescue-system-own"
    system.tell("sh", "-c", f"echo own > {target}; ln -s {target} /mnt{KEYS}.rescue-guessed")
    job = go_on(look(), jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "changed_since")
    assert system.tell("cat", target) == "own\n"
    assert system.tell("cat", f"/mnt{KEYS}") == OLD_KEY
    system.tell("rm", target)


def test_something_else_in_the_folders_place_is_refused(mounted, look, system, go_on):
    system.tell("sh", "-c", "rm -r /mnt/home/admin/.ssh; touch /mnt/home/admin/.ssh")
    job = look()
    assert job.problem == "ssh_not_a_file"
    assert words.problem(job) == "It is not a plain file."


def test_half_of_a_change_is_taken_back(mounted, look, system, go_on, monkeypatch):
    def full(*_given, **_named):
        raise ssh.NoSpace

    planned = look("fresh")
    monkeypatch.setattr(ssh.Machine, "write", full)
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "ssh_no_space")
    assert system.tell("ls", "-A", "/mnt/home/fresh") == ""


def test_it_is_not_called_done_unless_it_can_be_read_again(
    mounted, look, system, go_on, monkeypatch
):
    planned = look()
    monkeypatch.setattr(ssh.Machine, "write", lambda *_given, **_named: None)
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "not_proven")
    assert system.tell("cat", f"/mnt{KEYS}") == OLD_KEY


def test_selinux_is_told_of(mounted, look, system):
    system.tell(
        "sh", "-c", "mkdir /mnt/etc/selinux; echo SELINUX=enforcing > /mnt/etc/selinux/config"
    )
    assert facts(look().plan)[-1] == "selinux"


def test_a_home_at_the_root_and_a_home_that_is_none(mounted, look, system):
    lines = "top:x:1500:1500::/:/bin/sh\\nup:x:1501:1501::/../etc:/bin/sh\\n"
    system.tell("sh", "-c", f"printf '{lines}' >> /mnt/etc/passwd")
    assert look("top").plan["lines"][-1][1]["path"] == "/.ssh/authorized_keys"
    job = look("up")
    assert (job.problem, job.problem_args) == ("bad_path", {"path": "/../etc"})


@pytest.mark.parametrize("path", ["", "etc/passwd", "/etc/../..", "/a\0b", "/.."])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(CannotDo):
        changes.clean(path)
    assert changes.clean("/etc//ssh/./x") == "/etc/ssh/x"


def test_the_text_of_a_secret_file_is_not_shown():
    shadow = changes.Change(
        "/etc/shadow", b"root:$6$old", b"root:$6$new", 0o640, 0, 42, secret=True
    )
    assert changes.diff_of(shadow) == []
