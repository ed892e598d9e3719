"""The pages of a repair: what it has to know, what it would do, and what it did."""

from typing import Any

import pytest
from django.test import Client

from instances.models import Job, Machine, Rescue
from instances.models.machine import Reach
from teams.models import SSHKey
from tests.instances import rows

HTMX = {"HX-Request": "true"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNAPUCGqBm1nxyYjDBNY/UlpNLZKYBqmIkkpOR3Pcds"


def url(rescue: Rescue, rest: str = "machine") -> str:
    return f"/rescues/{rescue.pk}/{rest}"


# The form -----------------------------------------------------------------------------------------


@pytest.fixture
def users(rescue: Rescue) -> None:
    """Let the old system's users be known."""
    rows.job(rescue, "done", kind="mount", stage="apply",
          result={"lines": [], "kept": {"users": ["admin", "root"]}})  # fmt: skip


@pytest.fixture
def known(alice: Any) -> SSHKey:
    return SSHKey.objects.create(
        user=alice, name="Alice's\x07 laptop", public_key=KEY, fingerprint=rows.FINGERPRINT,
        key_type="ssh-ed25519",
    )  # fmt: skip


def test_a_key_of_ones_own_for_a_user_of_the_old_system(
    door: Client, rescue: Rescue, inside: Machine, users: None, known: SSHKey, nudges: Any
) -> None:
    page = door.get(url(rescue, "repairs/ssh_key")).content.decode()
    for words in ("Put an SSH key back", "<option value=\"admin\">admin</option>", rows.FINGERPRINT,
                  "The key pasted below", "Nothing is written before you say yes"):  # fmt: skip
        assert words in page
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "known": known.pk})
    job = Job.objects.get(kind="ssh_key")
    assert (answer.status_code, answer.headers["Location"]) == (302, url(rescue, f"jobs/{job.pk}"))
    assert job.params == {"user": "admin", "public_key": KEY, "key_name": "Alice's laptop"}
    assert (job.stage, job.requested_by.name) == ("look", "Alice")
    assert nudges == [("job", job.pk)]


def test_a_pasted_key_goes_before_a_known_one(
    door: Client, rescue: Rescue, inside: Machine, known: SSHKey
) -> None:
    pasted = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMJ0CAkoDuBTgGwUBbrxQDOBGtCvCiw3jMbUTsCNGVB6"
    sent = {"user": "admin", "known": known.pk, "pasted": f" {pasted} me@work  "}
    door.post(url(rescue, "repairs/ssh_key"), sent)
    assert Job.objects.get().params == {
        "user": "admin", "public_key": pasted, "key_name": "me@work",
    }  # fmt: skip
    Job.objects.all().delete()
    door.post(url(rescue, "repairs/ssh_key"), sent | {"pasted": pasted})
    assert Job.objects.get().params["key_name"] == "rescue"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"user": "admin"}, "Pick a key, or paste one."),
        ({"user": "", "pasted": KEY}, "This field is required."),
        ({"user": "admin; reboot", "pasted": KEY}, "That is not a user’s name."),
        ({"user": "admin", "pasted": "hello"}, "ssh-"),
        ({"user": "admin", "pasted": f"{KEY} a\n{KEY} b"}, "a single line"),
        ({"user": "admin", "pasted": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "never give it away"),
        ({"user": "admin", "pasted": "x" * 20_000}, "at most"),
        ({"user": "admin", "known": "999", "pasted": ""}, "Pick a key, or paste one."),
    ],
)
def test_bad_input_is_answered_beside_its_field(
    door: Client, rescue: Rescue, inside: Machine, sent: dict[str, str], reason: str
) -> None:
    answer = door.post(url(rescue, "repairs/ssh_key"), sent)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert "aria-invalid" in answer.content.decode()
    assert not Job.objects.exists()


def test_what_is_not_in_the_lists_is_not_taken(
    door: Client, rescue: Rescue, inside: Machine, users: None, known: SSHKey, mallory: Any
) -> None:
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "eve", "known": known.pk})
    assert answer.status_code == 422
    assert "Pick one of the users in the list." in answer.content.decode()
    SSHKey.objects.update(user=mallory)
    other = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "known": known.pk})
    assert other.status_code == 422
    assert not Job.objects.filter(kind="ssh_key").exists()


def test_a_repair_that_is_not_possible_now_keeps_what_was_typed(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    Machine.objects.update(reach=Reach.CLOSED)
    answer = door.post(url(rescue, "repairs/ssh_key"), {"user": "admin", "pasted": KEY})
    assert answer.status_code == 409
    assert "not logged in to this machine" in answer.content.decode()
    assert KEY in answer.content.decode()


# A repair's page ----------------------------------------------------------------------------------


def test_a_plan_is_shown_line_by_line_and_waits_for_a_word(
    door: Client, rescue: Rescue, inside: Machine, alice: Any, nudges: Any
) -> None:
    told = [["will_change", {"path": "/home/admin/<i>", "folder": "/home/admin"}]]
    job = rows.job(rescue, "planned", alice, plan={"lines": told}, params={"user": "admin"})
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    for words in (
        "Looked at, nothing changed yet", "/home/admin/&lt;i&gt; is changed.", "Asked for by",
        '<span class="diff-added">+&lt;b&gt;new&lt;/b&gt;</span>',
        '<span class="diff-removed">-gone</span>', "diff-place", "Do it", "Leave it", "admin",
    ):  # fmt: skip
        assert words in page
    answer = door.post(url(rescue, f"jobs/{job.pk}/confirm"))
    assert answer.headers["Location"] == url(rescue, f"jobs/{job.pk}")
    assert nudges == [("job", job.pk)]
    assert Job.objects.get().state == "queued"
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "Waiting for a worker" in page
    assert '<meta http-equiv="refresh" content="3">' in page
    fragment = door.get(url(rescue, f"jobs/{job.pk}"), headers=HTMX).content.decode()
    assert "<html" not in fragment


def test_a_plan_can_be_left(door: Client, rescue: Rescue, inside: Machine, nudges: Any) -> None:
    job = rows.job(rescue, "planned")
    assert door.post(url(rescue, f"jobs/{job.pk}/drop")).headers["Location"] == url(rescue)
    assert Job.objects.get().state == "dropped"
    assert nudges == []
    late = door.post(url(rescue, f"jobs/{job.pk}/confirm"), follow=True).content.decode()
    assert "Something else happened at the same moment" in late


def test_what_was_done_can_be_taken_back(door: Client, rescue: Rescue, inside: Machine) -> None:
    told = {"lines": [["made_new", {"path": "/x"}]], "kept": {"changed": []}}
    job = rows.job(rescue, "done", stage="apply", result=told)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "/x was made." in page and "Take it back" in page
    door.post(url(rescue, f"jobs/{job.pk}/undo"))
    assert (Job.objects.get().stage, Job.objects.get().state) == ("undo", "queued")
    undone = told | {"undone": [["taken_back", {"path": "/x"}]]}
    Job.objects.update(state="undone", result=undone)
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "/x is as it was before." in page and "Take it back" not in page


def test_what_failed_says_why_and_how_to_go_on(
    door: Client, rescue: Rescue, inside: Machine
) -> None:
    job = rows.job(rescue, "failed", stage="apply", problem="changed_since")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "The files changed since you looked." in page
    assert "Begin again" in page and "Take it back" not in page
    Job.objects.update(stage="undo", problem="read_only")
    page = door.get(url(rescue, f"jobs/{job.pk}")).content.decode()
    assert "Take it back" in page and "Begin again" not in page


def test_the_repairs_of_a_machine_are_listed(
    door: Client, rescue: Rescue, inside: Machine, alice: Any
) -> None:
    job = rows.job(rescue, "done", alice)
    page = door.get(url(rescue)).content.decode()
    assert url(rescue, f"jobs/{job.pk}") in page
    assert url(rescue, "repairs/ssh_key") in page
