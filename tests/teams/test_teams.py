"""Teams: made, renamed, joined, left; roles; and the last owner, who stays."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.test import Client

from teams import decisions, membership
from teams.models import AuditEntry, Membership, Team
from teams.permissions import RIGHTS, RIGHTS_IN_WORDS, Right, Role
from teams.refusals import Refused

ROOT = Path(__file__).resolve().parents[2]


def place(team: Team, user: Any) -> Membership:
    return Membership.objects.get(team=team, user=user)


def acts(team: Team | None = None) -> list[str]:
    found = AuditEntry.objects.filter(team=team) if team else AuditEntry.objects.all()
    return list(found.order_by("pk").values_list("act", flat=True))


@pytest.fixture
def owner(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


# Making and naming ------------------------------------------------------------------------------


def test_whoever_signs_in_makes_a_team_and_owns_it(owner: Client, alice: Any, teams: Any) -> None:
    answer = owner.post("/teams/new", {"name": "  Data   Lab "})
    made = Team.objects.get(name="Data Lab")
    assert answer.headers["Location"] == f"/teams/{made.pk}/invitations"
    assert place(made, alice).role == Role.OWNER
    assert acts(made) == ["team.create"]
    assert "Data Lab" in owner.get("/teams").content.decode()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "This is needed."),
        ("acme web", "exists already"),
        ("x" * 101, "at most 100"),
        ("a\u202eb", "cannot be seen"),
        ("a\x00b", "cannot be seen"),
    ],
)
def test_a_bad_name_is_told_beside_its_field(
    owner: Client, teams: Any, name: str, reason: str
) -> None:
    answer = owner.post("/teams/new", {"name": name})
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert Team.objects.count() == 2


def test_an_installation_may_leave_making_teams_to_staff(
    owner: Client, teams: Any, sam: Any, settings: Any
) -> None:
    settings.TEAM_CREATION = "staff"
    assert owner.get("/teams/new").status_code == 403
    assert owner.post("/teams/new", {"name": "Data Lab"}).status_code == 403
    assert "New team" not in owner.get("/teams").content.decode()
    assert membership.create(name="Data Lab", by=sam).memberships.count() == 1


def test_a_new_name_is_written_down_with_the_old(teams: Any, alice: Any, bob: Any) -> None:
    membership.rename(team=teams.acme, name="Acme", by=alice)
    entry = AuditEntry.objects.get(act="team.rename")
    assert (entry.details["old"], entry.details["new"]) == ("Acme Web", "Acme")
    with pytest.raises(Refused):
        membership.rename(team=teams.acme, name="OTHER corp", by=alice)
    with pytest.raises(PermissionDenied):
        membership.rename(team=teams.acme, name="Bob’s", by=bob)


# Roles ------------------------------------------------------------------------------------------


def test_an_owner_changes_a_role(owner: Client, teams: Any, bob: Any) -> None:
    his = place(teams.acme, bob)
    answer = owner.post(f"/teams/{teams.acme.pk}/members/{his.pk}", {"role": "reader"})
    assert answer.status_code == 302
    his.refresh_from_db()
    assert his.role == Role.READER
    entry = AuditEntry.objects.get(act="member.role")
    assert (entry.details["old"], entry.details["new"]) == ("member", "reader")
    assert entry.target == "bob@example.org"


@pytest.mark.parametrize("role", ["", "boss", "OWNER"])
def test_a_role_that_is_none_is_refused(owner: Client, teams: Any, bob: Any, role: str) -> None:
    his = place(teams.acme, bob)
    answer = owner.post(f"/teams/{teams.acme.pk}/members/{his.pk}", {"role": role})
    assert answer.status_code == 422
    his.refresh_from_db()
    assert his.role == Role.MEMBER


def test_a_member_is_removed_after_a_question(owner: Client, teams: Any, bob: Any) -> None:
    his = place(teams.acme, bob)
    address = f"/teams/{teams.acme.pk}/members/{his.pk}/remove"
    assert "Remove from the team" in owner.get(address).content.decode()
    assert Membership.objects.filter(pk=his.pk).exists()
    assert owner.post(address).status_code == 302
    assert not Membership.objects.filter(pk=his.pk).exists()
    assert acts(teams.acme) == ["member.remove"]
    assert owner.post(address).status_code == 404


def test_somebody_leaves(client: Client, teams: Any, carol: Any) -> None:
    client.force_login(carol)
    assert client.get(f"/teams/{teams.acme.pk}/leave").status_code == 200
    assert client.post(f"/teams/{teams.acme.pk}/leave").headers["Location"] == "/teams"
    assert client.get(f"/teams/{teams.acme.pk}/members").status_code == 404
    assert acts(teams.acme) == ["member.leave"]


# The last owner ---------------------------------------------------------------------------------


def test_the_last_owner_stays(owner: Client, teams: Any, alice: Any) -> None:
    hers, base = place(teams.acme, alice), f"/teams/{teams.acme.pk}"
    sentence = "A team needs an owner."
    for address, fields, status in (
        (f"{base}/leave", {}, 409),
        (f"{base}/members/{hers.pk}/remove", {}, 409),
        (f"{base}/members/{hers.pk}", {"role": "member"}, 422),
    ):
        answer = owner.post(address, fields)
        assert (answer.status_code, sentence in answer.content.decode()) == (status, True), address
    assert place(teams.acme, alice).role == Role.OWNER
    assert acts(teams.acme) == []


def test_an_owner_who_cannot_sign_in_does_not_count(teams: Any, alice: Any, bob: Any) -> None:
    Membership.objects.filter(user=bob).update(role=Role.OWNER)
    bob.is_active = False
    bob.save()
    with pytest.raises(Refused):
        membership.leave(membership=place(teams.acme, alice), by=alice)


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays(
    teams: SimpleNamespace, alice: Any, bob: Any
) -> None:
    Membership.objects.filter(user=bob).update(role=Role.OWNER)
    start, outcomes = threading.Barrier(2), []

    def go(user: Any) -> None:
        mine = place(teams.acme, user)
        start.wait(10)
        try:
            membership.leave(membership=mine, by=user)
            outcomes.append("left")
        except Refused:
            outcomes.append("stays")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=(user,)) for user in (alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["left", "stays"]
    assert teams.acme.memberships.filter(role=Role.OWNER).count() == 1
    connection.close()


# Who may -----------------------------------------------------------------------------------------


def test_only_owners_change_and_others_do_not_exist(
    client: Client, teams: Any, bob: Any, carol: Any, mallory: Any
) -> None:
    his, base = place(teams.acme, bob), f"/teams/{teams.acme.pk}"
    changing = [f"{base}/members/{his.pk}", f"{base}/members/{his.pk}/remove", f"{base}/settings"]
    for user, status in ((bob, 403), (carol, 403), (mallory, 404)):
        client.force_login(user)
        for address in [*changing, f"{base}/invitations"]:
            assert client.get(address).status_code == status, (user, address)
            assert client.post(address, {"role": "owner"}).status_code == status, (user, address)
    client.force_login(mallory)
    foreign = f"/teams/{teams.other.pk}/members/{his.pk}"
    assert client.post(foreign, {"role": "reader"}).status_code == 404
    for address in (f"{base}/members", f"{base}/leave", f"{base}/keys"):
        assert client.get(address).status_code == 404


def test_members_look_without_buttons(client: Client, teams: Any, carol: Any) -> None:
    client.force_login(carol)
    page = client.get(f"/teams/{teams.acme.pk}/members").content.decode()
    assert "alice@example.org" in page
    assert "/members/" not in page
    assert "Invite" not in page


def test_staff_who_act_for_an_owner_look_only(teams: Any, alice: Any, sam: Any, bob: Any) -> None:
    alice.acted_by = sam
    for change in (
        lambda: membership.change_role(
            membership=place(teams.acme, bob), role=Role.OWNER, by=alice
        ),
        lambda: membership.remove(membership=place(teams.acme, bob), by=alice),
        lambda: membership.leave(membership=place(teams.acme, alice), by=alice),
        lambda: membership.rename(team=teams.acme, name="Mine", by=alice),
        lambda: membership.create(name="Mine", by=alice),
        lambda: decisions.decide(team=teams.acme, by=alice, password_readers="owners"),
    ):
        with pytest.raises(PermissionDenied):
            change()
    assert acts() == []


# The table of roles ----------------------------------------------------------------------------


def test_the_docs_table_of_roles_is_the_code() -> None:
    lines = ["| | " + " | ".join(str(role.label) for role in Role) + " |"]
    lines.append("|---" * (len(Role) + 1) + "|")
    for right in Right:
        marks = ["yes" if right in RIGHTS[role] else "no" for role in Role]
        lines.append(f"| {RIGHTS_IN_WORDS[right]} | " + " | ".join(marks) + " |")
    assert "\n".join(lines) in (ROOT / "docs/portal.md").read_text(encoding="utf-8")


def test_the_page_shows_every_right(owner: Client, teams: Any) -> None:
    page = owner.get(f"/teams/{teams.acme.pk}/members").content.decode()
    assert all(str(words) in page for words in RIGHTS_IN_WORDS.values())
    yes = sum(len(rights) for rights in RIGHTS.values())
    assert page.count('<span class="visually-hidden">yes</span>') == yes
