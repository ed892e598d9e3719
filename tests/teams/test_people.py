"""People, roles, and the audit trail."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from teams import audit, permissions
from teams.models import AuditEntry, CloudAccount, Membership, Team, User
from teams.permissions import Right, Role, may, roles_with

pytestmark = pytest.mark.django_db

TABLE = [
    # role, look, operate, reveal, audit, manage
    ("owner", True, True, True, True, True),
    ("member", True, True, True, False, False),
    ("reader", True, False, False, False, False),
]


@pytest.mark.parametrize(("role", "look", "operate", "reveal", "audit", "manage"), TABLE)
def test_what_each_role_may(role, look, operate, reveal, audit, manage):
    expected = (look, operate, reveal, audit, manage)
    rights = (Right.LOOK, Right.OPERATE, Right.REVEAL, Right.AUDIT, Right.MANAGE)
    assert tuple(may(role, right) for right in rights) == expected
    assert tuple(role in roles_with(right) for right in rights) == expected


def test_the_table_names_every_role_and_right():
    assert {row[0] for row in TABLE} == {role.value for role in Role} == set(permissions.RIGHTS)
    assert len(Right) == 5


def test_a_role_is_held_in_one_team_only(teams, alice, carol, mallory, sam):
    assert alice.role_in(teams.acme) == "owner" and alice.role_in(teams.other) is None
    assert mallory.may(Right.MANAGE, teams.other) and not mallory.may(Right.LOOK, teams.acme)
    assert carol.may(Right.LOOK, teams.acme) and not carol.may(Right.OPERATE, teams.acme)
    assert not any(sam.may(right, teams.acme) for right in Right)  # staff is no member


@pytest.mark.parametrize("role", Role)
def test_staff_who_act_for_somebody_look_and_operate_at_most(teams, alice, sam, role):
    Membership.objects.filter(user=alice).update(role=role)
    alice.acted_by = sam
    allowed = {right for right in Right if alice.may(right, teams.acme)}
    assert allowed == {right for right in (Right.LOOK, Right.OPERATE) if may(role, right)}
    for right in Right:
        assert Team.objects.of(alice, right).exists() == (right in allowed)


def test_who_is_disabled_may_nothing(teams, alice):
    alice.is_active = False
    assert not alice.may(Right.LOOK, teams.acme)


def test_the_teams_of_somebody(teams, alice, carol):
    assert set(Team.objects.of(alice)) == {teams.acme}
    assert not Team.objects.of(carol, Right.OPERATE).exists()
    assert not Team.objects.of(AnonymousUser()).exists()


def test_one_role_in_a_team(teams, alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(team=teams.acme, user=alice, role="reader")


# Signing in -------------------------------------------------------------------------------------


def test_people_sign_in_with_an_address_in_any_case():
    user = User.objects.create_user("Zoe@Example.ORG", "a long password", name="Zoe")
    assert user.email == "zoe@example.org"
    assert authenticate(username="ZOE@example.org", password="a long password") == user
    assert authenticate(username="zoe@example.org", password="wrong") is None
    assert authenticate(username=None, password="x") is None


def test_no_password_is_no_way_in():
    user = User.objects.create_user("zoe@example.org")
    assert not user.has_usable_password()


def test_one_person_an_address():
    User.objects.create_user("zoe@example.org", "x")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user("ZOE@example.org", "x")


def test_an_operator_is_staff():
    boss = User.objects.create_superuser("boss@example.org", "x")
    assert boss.is_staff and boss.is_superuser
    assert str(boss) == "boss@example.org"


# The audit trail --------------------------------------------------------------------------------


@pytest.fixture
def entry(teams, alice):
    return audit.record("test.act", team=teams.acme, target="t" * 400, actor=alice, why="because")


def test_an_entry_says_who_what_and_when(entry, alice, teams):
    entry.refresh_from_db()
    assert (entry.actor, entry.team, entry.details) == (alice, teams.acme, {"why": "because"})
    assert len(entry.target) == 300 and entry.at
    assert "Alice: test.act" in str(entry)
    assert "the panel" in str(audit.record("x", team=None, target=""))


def test_an_entry_is_never_changed(entry):
    entry.act = "nothing happened"
    with pytest.raises(ValidationError):
        entry.save()
    with pytest.raises(ValidationError):
        AuditEntry.objects.filter(pk=entry.pk).update(act="nothing happened")
    with pytest.raises(ValidationError), transaction.atomic():
        AuditEntry.objects.bulk_update([entry], ["act"])
    assert AuditEntry.objects.get(pk=entry.pk).act == "test.act"


def test_an_entry_is_never_deleted(entry, alice, teams):
    with pytest.raises(ValidationError):
        entry.delete()
    with pytest.raises(ValidationError):
        AuditEntry.objects.all().delete()
    with pytest.raises(ProtectedError):
        alice.delete()
    with pytest.raises(ProtectedError):
        teams.acme.delete()


# Cloud accounts ---------------------------------------------------------------------------------


def test_a_credential_is_sealed_for_its_account(teams):
    one, two = (
        CloudAccount.objects.create(team=teams.acme, name=name, auth_url="http://k/v3")
        for name in ("one", "two")
    )
    one.keep_credential({"secret": "s3cret"})
    assert "s3cret" not in one.sealed_credential
    one.refresh_from_db()
    assert one.credential() == {"secret": "s3cret"} and one.credential_version == 1
    two.sealed_credential = one.sealed_credential
    from teams.secrets import CannotOpen

    with pytest.raises(CannotOpen):
        two.credential()


def test_a_new_account_can_be_given_its_credential_at_once(teams):
    account = CloudAccount(team=teams.acme, name="new", auth_url="http://k/v3")
    account.keep_credential({"a": 1})
    assert CloudAccount.objects.get(pk=account.pk).credential() == {"a": 1}
