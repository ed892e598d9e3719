"""The pages of the repairs that ask for more than a key: what is typed, shown, and kept secret."""

from typing import Any

import pytest
from django.test import Client

from instances.models import Job, Machine, Rescue
from tests.instances import rows

SECRET = "correct horse battery"
EVIL = "</textarea><script>alert(1)</script>"


def url(rescue: Rescue, rest: str = "machine") -> str:
    return f"/rescues/{rescue.pk}/{rest}"


def waiting(rescue: Rescue, alice: Any, kind: str, **asks: Any) -> Job:
    """Make a job whose look has asked for more."""
    job = rows.job(rescue, "planned", alice, kind=kind, plan={"lines": [], "ready": False})
    job.sealed = job.seal({"asks": asks})
    job.save()
    return job


# A password ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "made"), [(SECRET, False), ("", True)])
def test_a_password_goes_into_the_sealed_part_alone(
    door: Client, rescue: Rescue, inside: Machine, typed: str, made: bool
) -> None:
    sent = {"user": "admin", "chosen": typed, "again": typed}
    assert door.post(url(rescue, "repairs/password"), sent).status_code == 302
    job = Job.objects.get()
    assert job.params == {"user": "admin"}
    private = job.unsealed()
    assert private.get("made", False) is made
    assert private["password"] == typed or len(private["password"]) > 20
    assert private["password"] not in job.sealed


@pytest.mark.parametrize(
    ("chosen", "again", "reason"),
    [
        ("short", "short", "at least 8"),
        (SECRET, "another one", "The two are not the same."),
        (SECRET, "", "The two are not the same."),
        (f" {SECRET}", f" {SECRET}", "no space at its ends"),
        ("new\nline here", "new\nline here", "no space at its ends"),
        ("x" * 129, "x" * 129, "at most"),
    ],
)
def test_a_bad_password_is_answered_and_not_given_back(
    door: Client, rescue: Rescue, inside: Machine, chosen: str, again: str, reason: str
) -> None:
    sent = {"user": "admin", "chosen": chosen, "again": again}
    answer = door.post(url(rescue, "repairs/password"), sent)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert reason in text
    assert chosen not in text
    assert not Job.objects.exists()


def test_a_made_password_is_shown_once_by_a_post(
    door: Client, rescue: Rescue, inside: Machine, alice: Any, client: Client, bob: Any
) -> None:
    job = rows.job(rescue, "done", alice, kind="password", stage="apply", params={"user": "admin"},
                   result={"lines": [], "kept": {"changed": [1]}})  # fmt: skip
    job.sealed = job.seal({"password": SECRET})
    job.save()
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert SECRET not in page and "Show the new password once" in page
    client.force_login(bob)
    assert (
        "Show the new password once"
        not in client.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    )
    refused = client.post(url(rescue, f"jobs/{job.pk}/password"))
    assert refused.status_code == 409
    assert SECRET not in refused.content.decode()
    client.force_login(alice)
    assert client.get(url(rescue, f"jobs/{job.pk}/password")).status_code == 405
    answer = client.post(url(rescue, f"jobs/{job.pk}/password"))
    assert SECRET in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    again = client.post(url(rescue, f"jobs/{job.pk}/password"))
    assert again.status_code == 409
    assert SECRET not in again.content.decode()
    assert "was shown already" in again.content.decode()


# The fstab ----------------------------------------------------------------------------------------


def test_lines_are_picked_from_what_was_read(
    door: Client, rescue: Rescue, inside: Machine, alice: Any, nudges: Any
) -> None:
    told = [["fstab_missing", {"device": "UUID=<b>"}]]
    lines = [
        {"number": 1, "text": "UUID=1 / ext4", "told": [], "root": True},
        {"number": 4, "text": "UUID=<b> /srv ext4", "told": told, "root": False},
    ]
    job = waiting(rescue, alice, "fstab", rows=lines, seen="abc")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "UUID=&lt;b&gt; was not found on any of the instance’s disks" in page
    assert 'value="4"' in page and "Do it" not in page and "Leave it" in page
    for wrong in ({}, {"line": "1"}, {"line": "99"}):
        answer = door.post(url(rescue, f"jobs/{job.pk}/answer"), wrong)
        assert answer.status_code == 422
        assert "Pick a line." in answer.content.decode()
    answer = door.post(url(rescue, f"jobs/{job.pk}/answer"), {"line": "4"})
    found = Job.objects.exclude(pk=job.pk).get()
    assert answer.headers["Location"] == url(rescue, f"jobs/{found.pk}")
    assert (found.kind, found.params) == ("fstab", {"line": 4, "seen": "abc"})
    assert Job.objects.get(pk=job.pk).state == "dropped"
    late = door.post(url(rescue, f"jobs/{job.pk}/answer"), {"line": "4"}, follow=True)
    assert "Something else happened at the same moment" in late.content.decode()


def test_what_was_sealed_with_a_key_that_is_gone_is_not_shown(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = waiting(rescue, alice, "fstab", rows=[], seen="abc")
    Job.objects.filter(pk=job.pk).update(sealed=job.sealed[:-8] + "AAAAAAA=")
    page = door.get(url(rescue, f"jobs/{job.pk}"))
    assert page.status_code == 200
    assert "Line to take out" not in page.content.decode()


# A file -------------------------------------------------------------------------------------------


def test_a_file_is_shown_as_text_and_sent_back_sealed(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = waiting(rescue, alice, "edit", path="/etc/hosts", text=f"\n{EVIL}\n", seen="abc")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert EVIL not in page
    # A text area swallows one line feed at its beginning: ours comes after it.
    assert ">\n\n&lt;/textarea&gt;&lt;script&gt;" in page
    door.post(url(rescue, f"jobs/{job.pk}/answer"), {"text": f"\r\n{SECRET}\r\n "})
    found = Job.objects.exclude(pk=job.pk).get()
    assert found.params == {"path": "/etc/hosts", "seen": "abc"}
    assert found.unsealed() == {"text": f"\r\n{SECRET}\r\n "}


def test_what_was_typed_stands_in_the_form_beside_the_new_file(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = waiting(rescue, alice, "edit", path="/etc/hosts", text=f"{SECRET}\n", seen="abc")
    job.sealed = job.seal(job.unsealed() | {"diff": rows.DIFF})
    plan = {"lines": [["edit_overtaken", {"path": "/etc/hosts"}]], "ready": False}
    Job.objects.filter(pk=job.pk).update(sealed=job.sealed, plan=plan)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "was changed on the machine since you opened it" in page
    assert page.index("&lt;b&gt;new&lt;/b&gt;") < page.index(f"{SECRET}\n</textarea>")
    assert 'id="confirm-job"' not in page and 'id="answer-job"' in page


@pytest.mark.parametrize("path", ["etc/hosts", "/etc/../root/x", "", "/" + "x" * 600])
def test_a_path_that_is_none_is_refused(
    door: Client, rescue: Rescue, inside: Machine, path: str
) -> None:
    answer = door.post(url(rescue, "repairs/edit"), {"path": path})
    assert answer.status_code == 422
    assert not Job.objects.exists()


def test_the_usual_files_are_offered(door: Client, rescue: Rescue, inside: Machine) -> None:
    page = door.get(url(rescue, "repairs/edit")).content.decode()
    assert 'list="usual-files"' in page and '<option value="/etc/ssh/sshd_config">' in page
    door.post(url(rescue, "repairs/edit"), {"path": "/etc//default/./grub"})
    assert Job.objects.get().params == {"path": "/etc/default/grub"}


# A check ------------------------------------------------------------------------------------------


def test_a_check_says_beforehand_that_there_is_no_way_back(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    page = door.get(url(rescue, "repairs/check")).content.decode()
    assert "cannot be taken back" in page
    assert '<option value="/dev/vdb1">' in page and "/dev/vda1" not in page
    assert door.post(url(rescue, "repairs/check"), {"device": "/dev/vda1"}).status_code == 422
    door.post(url(rescue, "repairs/check"), {"device": "/dev/vdb1", "whole": "1"})
    assert Job.objects.get().params == {"device": "/dev/vdb1", "whole": True}


def test_what_the_machine_said_and_how_far_it_is(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = rows.job(rescue, "running", alice, kind="check", stage="apply", result={"percent": 43})
    assert "43 %" in " ".join(door.get(url(rescue, f"jobs/{job.pk}")).content.decode().split())
    done = {"lines": [["check_proven", {}]], "output": f"Pass 1 {EVIL}", "kept": {}}
    Job.objects.update(state="done", result=done)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "What the machine said" in page and "Pass 1 &lt;/textarea&gt;" in page
    assert "Take it back" not in page
