"""A file of the old system edited: opened, compared, saved with all it had, brought back."""

import pytest

from instances.models import Job
from instances.recovery import jobs, texts, words
from tests.instances.recovery.old_disk import facts, label, label_of, owned

HOSTS = "/etc/hosts"
BEFORE = "127.0.0.1 localhost\r\n127.0.1.1 old"


@pytest.fixture
def opened(mounted, do):
    def first(path=HOSTS):
        return do("edit", path=path)

    return first


@pytest.fixture
def change(do):
    """Send a text back as a browser does."""

    def second(first, text):
        asks = first.unsealed()["asks"]
        sent = text.replace("\n", "\r\n")
        return do("edit", {"text": sent}, path=asks["path"], seen=asks["seen"])

    return second


def test_it_is_opened_without_a_change(opened, system):
    job = opened()
    assert (job.state, job.problem) == (Job.State.PLANNED, "")
    assert facts(job.plan) == ["edit_read", "edit_crlf"]
    assert job.unsealed()["asks"]["text"] == "127.0.0.1 localhost\n127.0.1.1 old"
    assert "localhost" not in str(job.plan) and not job.may_confirm
    assert system.tell("ls", "/mnt/etc").count("hosts") == 1


def test_it_is_saved_with_its_line_ends_rights_and_label(opened, change, go_on, system):
    system.tell("chmod", "640", f"/mnt{HOSTS}")
    system.tell("chown", "3:4", f"/mnt{HOSTS}")
    label(system, f"/mnt{HOSTS}", "user.note", "kept")
    planned = change(opened(), "127.0.0.1 localhost\n10.0.0.9 db <b>\n127.0.1.1 old")
    assert "+10.0.0.9 db <b>" in planned.unsealed()["diff"]
    assert planned.may_confirm
    done = go_on(planned, jobs.confirm)
    assert (done.state, facts(done.result)) == (Job.State.DONE, ["backed_up", "proven"])
    raw = system.tell("base64", "-w0", f"/mnt{HOSTS}")
    expected = "MTI3LjAuMC4xIGxvY2FsaG9zdA0KMTAuMC4wLjkgZGIgPGI+DQoxMjcuMC4xLjEgb2xk"
    assert raw == expected
    assert owned(system, f"/mnt{HOSTS}") == ("640", "3", "4")
    assert label_of(system, f"/mnt{HOSTS}", "user.note") == "kept"
    assert go_on(done, jobs.undo).state == Job.State.UNDONE
    assert system.tell("cat", f"/mnt{HOSTS}") == BEFORE.replace("\r", "")  # text mode


@pytest.mark.parametrize("after", ["the yes", "the look"])
def test_somebody_elses_change_in_between_leaves_what_was_typed(
    opened, change, go_on, system, after
):
    first = opened()
    planned = change(first, "mine\n")
    system.tell("sh", "-c", f"echo theirs > /mnt{HOSTS}")
    job = go_on(planned, jobs.confirm) if after == "the yes" else change(first, "mine\n")
    assert system.tell("cat", f"/mnt{HOSTS}") == "theirs\n"
    assert (job.state, job.stage, job.problem) == (Job.State.PLANNED, Job.Stage.LOOK, "")
    assert facts(job.plan) == ["edit_overtaken"] and not job.may_confirm and not job.may_undo
    kept = job.unsealed()
    assert "-theirs" in kept["diff"] and "+mine" in kept["diff"]
    typed = kept["asks"]["text"].replace("\r", "")
    assert typed == "mine\n"
    assert system.tell("ls", "/mnt/etc").count("hosts") == 1, "no back-up either"
    again = change(job, typed + "and more\n")
    assert again.may_confirm and "-theirs" in again.unsealed()["diff"]
    assert go_on(again, jobs.confirm).state == Job.State.DONE
    assert system.tell("cat", f"/mnt{HOSTS}") == "mine\nand more\n"


def test_a_file_that_is_gone_in_between_is_said(opened, change, go_on, system):
    planned = change(opened(), "mine")
    system.tell("rm", f"/mnt{HOSTS}")
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "ssh_no_such_file")


def test_what_is_no_text_any_more_is_not_shown(opened, change, system):
    first = opened()
    system.tell("sh", "-c", f"printf 'a\\000b' > /mnt{HOSTS}")
    assert change(first, "mine").problem == "edit_binary"


def test_what_was_typed_can_be_typed_on(opened, change, do):
    planned = change(opened(), "mine")
    asks = planned.unsealed()["asks"]
    again = do("edit", {"text": "mine, better"}, path=asks["path"], seen=asks["seen"])
    assert "+mine, better" in again.unsealed()["diff"]


def test_nothing_changed_is_said(opened, change):
    first = opened()
    assert change(first, first.unsealed()["asks"]["text"]).problem == "nothing_to_change"


def test_links_are_followed_inside_the_disk_alone(opened, system):
    job = opened("/etc/inside")
    assert job.plan["lines"][0] == ["edit_link", {"path": "/etc/inside", "target": HOSTS}]
    # As the old system itself would: ".." at the root stays at the root.
    assert opened("/etc/outside").unsealed()["asks"]["path"] == HOSTS
    system.tell("ln", "-s", "/run/none", "/mnt/etc/gone")
    assert opened("/etc/gone").problem == "ssh_no_such_file"
    system.tell("ln", "-s", "loop", "/mnt/etc/loop")
    assert opened("/etc/loop").problem == "ssh_leaves_root"


def test_a_link_put_in_after_the_look_leads_nowhere(opened, change, go_on, system, tmp_path):
    planned = change(opened(), "mine")
    target = f"{tmp_path}/rescue-system-own"
    system.tell("sh", "-c", f"echo own > {target}; ln -sf {target} /mnt{HOSTS}")
    job = go_on(planned, jobs.confirm)
    assert (job.state, job.problem) == (Job.State.FAILED, "ssh_no_such_file")
    assert system.tell("cat", target) == "own\n"
    system.tell("rm", target)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (r"a\000b", "edit_binary"),
        (r"\033[2Jgone", "edit_binary"),
        (r"old\rmac", "edit_binary"),
        (r"caf\351", "edit_not_utf8"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "edit_secret"),
    ],
)
def test_what_is_no_text_is_refused(opened, system, content, problem):
    system.tell("sh", "-c", f"printf -- '{content}' > /mnt/etc/odd")
    job = opened("/etc/odd")
    assert (job.state, job.problem) == (Job.State.FAILED, problem)
    assert "/etc/odd" in words.problem(job)


def test_what_is_too_large_secret_or_no_file_is_refused(opened, system):
    system.tell("sh", "-c", f"head -c {texts.LARGEST + 1} /dev/zero | tr '\\0' x > /mnt/etc/big")
    assert opened("/etc/big").problem == "edit_too_large"
    system.tell("truncate", "-s", "2000000", "/mnt/etc/big")
    assert opened("/etc/big").problem == "edit_too_large"
    assert opened("/etc/shadow").problem == "edit_secret"
    assert opened("/etc").problem == "ssh_not_a_file"
    assert opened("/etc/none").problem == "ssh_no_such_file"
    system.tell("mkfifo", "/mnt/etc/pipe")
    assert opened("/etc/pipe").problem == "ssh_not_a_file"


def test_sudoers_are_checked_or_refused(opened, change, system, monkeypatch):
    from instances import ssh

    system.tell("sh", "-c", "echo 'root ALL=(ALL:ALL) ALL' > /mnt/etc/sudoers")
    answers = {"status": 127, "heard": b""}
    run = ssh.Machine.run

    def without(machine, *argv, **named):
        if argv[0] != "visudo":
            return run(machine, *argv, **named)
        answers["heard"] = named["stdin"]
        return ssh.Output(answers["status"], b"", b"stdin:1:9: syntax error\n")

    monkeypatch.setattr(ssh.Machine, "run", without)
    assert change(opened("/etc/sudoers"), "root A").problem == "no_visudo"
    answers["status"] = 1
    job = change(opened("/etc/sudoers"), "root A")
    assert job.problem == "checker_refused"
    assert "syntax error" in words.problem(job)
    answers["status"] = 0
    assert change(opened("/etc/sudoers"), "root B").may_confirm
    assert answers["heard"] == b"root B"


def test_a_back_up_in_a_folder_of_parts_is_taken_for_none(opened, change, go_on, system):
    folder = "/mnt/etc/network/interfaces.d"
    system.tell("sh", "-c", f"mkdir -p {folder}; echo auto ens3 > {folder}/50-cloud-init")
    first = opened("/etc/network/interfaces.d/50-cloud-init")
    done = go_on(change(first, "auto ens4\n"), jobs.confirm)
    assert done.state == Job.State.DONE
    assert system.tell("sh", "-c", f"cat {folder}/*") == "auto ens4\n"
    backup = done.result["kept"]["changed"][0]["backup"]
    assert system.tell("cat", f"/mnt{backup}") == "auto ens3\n"
    assert go_on(done, jobs.undo).state == Job.State.UNDONE
    assert system.tell("sh", "-c", f"cat {folder}/*") == "auto ens3\n"


def test_a_plan_outlives_allowing_changes(disk, do, change, go_on, system):
    do("mount", device=disk.part(1))
    first = do("edit", path=HOSTS)
    assert facts(first.plan)[-1] == "will_need_writable"
    planned = change(first, "mine")
    do("mount", device=disk.part(1), writable=True)
    assert go_on(planned, jobs.confirm).state == Job.State.DONE
    assert system.tell("cat", f"/mnt{HOSTS}") == "mine"
