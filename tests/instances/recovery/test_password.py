"""A password set on a real disk: hashed, unlocked, shown once, and kept from everywhere else."""

import subprocess

import pytest

from instances.models import Job
from instances.models.clock import now
from instances.recovery import jobs, words
from instances.rescue import NotPossible
from teams.models import AuditEntry
from tests.instances.recovery.old_disk import SHADOW, facts, label, label_of, owned

SECRET = "correct horse: bätterie"


@pytest.fixture
def look(do):
    def plan(user="admin", password=SECRET, **private):
        return do("password", {"password": password} | private, user=user)

    return plan


def shadow_of(system, name):
    rows = system.tell("cat", "/mnt/etc/shadow").splitlines()
    return next(row.split(":") for row in rows if row.startswith(f"{name}:"))


def fits(hashed, password):
    """Tell whether a hash is that of a password, as crypt(5) says."""
    salt = hashed.split("$")[2]
    asked = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    made = subprocess.run(asked, input=f"{password}\n".encode(), capture_output=True, check=True)
    return made.stdout.decode().strip() == hashed


def test_a_look_tells_of_everything_and_shows_no_hash(mounted, look, system):
    job = look()
    assert (job.state, job.problem) == (Job.State.PLANNED, "")
    assert facts(job.plan) == ["will_change", "pw_unlocked", "pw_expired", "pw_ssh_off", "pw_match"]
    assert job.plan["lines"][3][1]["path"] == "/etc/ssh/sshd_config.d/50-cloud-init.conf"
    assert job.unsealed()["diff"] == ""
    assert "$6$" not in str(job.plan) + str(job.params)
    assert system.tell("cat", "/mnt/etc/shadow") == SHADOW


def test_it_is_set_with_the_account_open_and_the_rest_as_it_was(mounted, look, go_on, system):
    label(system, "/mnt/etc/shadow", "security.selinux", "shadow_t")
    job = go_on(look(), jobs.confirm)
    assert (job.state, job.problem) == (Job.State.DONE, "")
    columns = shadow_of(system, "admin")
    assert fits(columns[1], SECRET)
    today = int(now().timestamp()) // 86_400
    assert columns[2:] == [str(today), "0", "99999", "7", "", "", ""]
    assert owned(system, "/mnt/etc/shadow") == ("640", "0", "42")
    assert label_of(system, "/mnt/etc/shadow", "security.selinux") == "shadow_t"
    others = [row for row in SHADOW.splitlines() if not row.startswith("admin:")]
    after = system.tell("cat", "/mnt/etc/shadow").splitlines()
    assert [row for row in after if not row.startswith("admin:")] == others
    undone = go_on(job, jobs.undo)
    assert undone.state == Job.State.UNDONE
    assert system.tell("cat", "/mnt/etc/shadow") == SHADOW


def test_it_is_nowhere_but_sealed(mounted, look, go_on, caplog):
    job = go_on(look(made=True), jobs.confirm)
    everywhere = str([job.params, job.plan, job.result, job.problem_args]) + caplog.text
    everywhere += str([entry.details for entry in AuditEntry.objects.all()]) + job.sealed
    assert SECRET not in everywhere and "$6$" not in everywhere


def test_one_that_was_made_is_shown_once_to_who_asked(mounted, look, go_on, alice, bob):
    job = go_on(look(made=True), jobs.confirm)
    with pytest.raises(NotPossible):
        jobs.reveal(job=job, by=bob)
    assert jobs.reveal(job=job, by=alice) == SECRET
    assert AuditEntry.objects.latest("pk").act == "machine.reveal"
    assert Job.objects.get(pk=job.pk).sealed == ""
    with pytest.raises(NotPossible):
        jobs.reveal(job=Job.objects.get(pk=job.pk), by=alice)
    with pytest.raises(NotPossible):  # the page that was opened before
        jobs.reveal(job=job, by=alice)


def test_one_that_was_chosen_is_not_kept(mounted, look, go_on, alice):
    job = go_on(look(), jobs.confirm)
    assert job.sealed == ""
    with pytest.raises(NotPossible):
        jobs.reveal(job=job, by=alice)


def test_root_a_user_without_a_line_and_one_without_a_shell(mounted, look, go_on, system):
    assert ["pw_root_ssh", {"value": "prohibit-password", "path": "/etc/ssh/sshd_config"}] in (
        look("root").plan["lines"]
    )
    assert "pw_no_shell" in facts(look("daemon").plan)
    done = go_on(look("away"), jobs.confirm)
    assert done.state == Job.State.DONE
    assert fits(shadow_of(system, "away")[1], SECRET)


def test_what_it_cannot_be_done_for_is_said(mounted, look, system):
    assert look("nosuch").problem == "no_such_user"
    system.tell("sed", "-i", "s/^fresh:x:/fresh::/", "/mnt/etc/passwd")
    job = look("fresh")
    assert job.problem == "hash_in_passwd"
    assert "fresh" in words.problem(job)
    assert job.sealed == ""
    system.tell("rm", "/mnt/etc/shadow")
    assert look().problem == "no_shadow"
    system.tell("ln", "-s", "/etc/shadow", "/mnt/etc/shadow")
    assert look().problem == "ssh_leaves_root"


def test_a_rescue_system_without_openssl_is_told_of(mounted, look, monkeypatch):
    from instances import ssh

    run = ssh.Machine.run

    def without(machine, *argv, **named):
        return ssh.Output(127, b"", b"") if argv[0] == "openssl" else run(machine, *argv, **named)

    monkeypatch.setattr(ssh.Machine, "run", without)
    assert look().problem == "no_openssl"


def test_a_made_one_that_nobody_read_is_destroyed_after_a_day(mounted, look, go_on):
    from datetime import timedelta

    job = go_on(look(made=True), jobs.confirm)
    jobs.waiting()
    assert Job.objects.get(pk=job.pk).sealed
    Job.objects.update(ended_at=now() - timedelta(hours=25))
    jobs.waiting()
    assert Job.objects.get(pk=job.pk).sealed == ""
