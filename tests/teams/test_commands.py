"""The operator's commands do their work once, however often they are run."""

import io
import json
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from teams.models import AuditEntry, CloudAccount, Impersonation, Membership, Team, User

pytestmark = pytest.mark.django_db


def run(monkeypatch, *args, stdin="", **options):
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    out = io.StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def test_create_team_twice(monkeypatch):
    for _turn in range(2):
        said = run(
            monkeypatch, "create_team", "Acme", owner="Zoe@example.org", stdin="long enough\n"
        )
        assert "zoe@example.org" in said
    team = Team.objects.get(name="Acme")
    owner = User.objects.get()
    assert owner.role_in(team) == "owner" and owner.check_password("long enough")
    assert AuditEntry.objects.filter(act="team.create").count() == 1


def test_create_team_makes_an_existing_member_its_owner(monkeypatch, teams, bob):
    run(monkeypatch, "create_team", "Acme Web", owner="bob@example.org")
    assert bob.role_in(teams.acme) == "owner"
    assert bob.check_password("rescue-demo")


def test_an_owner_without_a_password_cannot_sign_in(monkeypatch):
    run(monkeypatch, "create_team", "Acme", owner="zoe@example.org", stdin="")
    assert not User.objects.get().has_usable_password()


CLOUDS = """
clouds:
  lab:
    region_name: RegionOne
    auth_type: v3applicationcredential
    auth: {auth_url: "http://k/v3", application_credential_id: a, application_credential_secret: %s}
"""


@pytest.fixture
def clouds(tmp_path, monkeypatch):
    def write(secret):
        (tmp_path / "clouds.yaml").write_text(CLOUDS % secret)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))

    write("one")
    return write


def test_connect_cloud_twice_and_with_a_new_secret(monkeypatch, teams, clouds):
    for _turn in range(2):
        run(monkeypatch, "connect_cloud", "Acme Web", os_cloud="lab")
    account = CloudAccount.objects.get()
    assert (account.name, account.region_name, account.team) == ("lab", "RegionOne", teams.acme)
    assert account.credential_version == 1
    assert AuditEntry.objects.filter(act="account.connect").count() == 1
    clouds("two")
    run(monkeypatch, "connect_cloud", "Acme Web", os_cloud="lab")
    account.refresh_from_db()
    assert account.credential_version == 2
    assert account.credential()["auth"]["application_credential_secret"] == "two"
    details = AuditEntry.objects.values_list("details", flat=True)
    assert "two" not in json.dumps(list(details))


def test_connect_cloud_renews_what_can_no_longer_be_opened(monkeypatch, teams, clouds, settings):
    run(monkeypatch, "connect_cloud", "Acme Web", os_cloud="lab")
    settings.ENCRYPTION_KEYS = [b"n" * 32]
    run(monkeypatch, "connect_cloud", "Acme Web", os_cloud="lab")
    assert CloudAccount.objects.get().credential()["auth"]["application_credential_id"] == "a"


def test_connect_cloud_says_what_is_missing(monkeypatch, teams, clouds):
    with pytest.raises(CommandError, match="create_team"):
        run(monkeypatch, "connect_cloud", "No Such Team", os_cloud="lab")
    with pytest.raises(CommandError, match="nowhere"):
        run(monkeypatch, "connect_cloud", "Acme Web", os_cloud="nowhere")
    assert not CloudAccount.objects.exists()


def test_seed_demo_twice(monkeypatch):
    one = {
        "auth_type": "v3applicationcredential",
        "region_name": "R",
        "auth": {"auth_url": "http://k"},
    }
    given = json.dumps(dict.fromkeys(("Demo-GRA", "Demo-SBG", "Demo-Other"), one))
    for _turn in range(2):
        run(monkeypatch, "seed_demo", credentials="-", stdin=given)
    assert User.objects.count() == 5 and Team.objects.count() == 2
    roles = Membership.objects.order_by("user__email").values_list("user__name", "role")
    assert list(roles) == [
        ("Alice", "owner"), ("Bob", "member"), ("Carol", "reader"), ("Mallory", "owner"),
    ]  # fmt: skip
    assert User.objects.get(name="Sam").is_staff
    assert not User.objects.get(name="Sam").memberships.exists()
    owners = CloudAccount.objects.order_by("name").values_list("name", "team__name")
    assert list(owners) == [
        ("Demo-GRA", "Acme Web"), ("Demo-Other", "Other Corp"), ("Demo-SBG", "Acme Web"),
    ]  # fmt: skip
    assert set(CloudAccount.objects.values_list("credential_version", flat=True)) == {1}


def test_seed_demo_keeps_what_people_changed(monkeypatch):
    one = {"auth_type": "x", "region_name": "R", "auth": {"auth_url": "http://k"}}
    given = json.dumps(dict.fromkeys(("Demo-GRA", "Demo-SBG", "Demo-Other"), one))
    run(monkeypatch, "seed_demo", credentials="-", stdin=given)
    Membership.objects.filter(user__name="Bob").update(role="reader")
    run(monkeypatch, "seed_demo", credentials="-", stdin=given)
    assert Membership.objects.get(user__name="Bob").role == "reader"


def test_seed_demo_lets_its_own_accounts_reach_the_demo_machines(monkeypatch, teams):
    theirs = CloudAccount.objects.create(team=teams.acme, name="Another")
    one = {"auth_type": "x", "region_name": "R", "auth": {"auth_url": "http://k"}}
    given = json.dumps(dict.fromkeys(("Demo-GRA", "Demo-SBG", "Demo-Other"), one))
    run(monkeypatch, "seed_demo", credentials="-", stdin=given)
    assert not CloudAccount.objects.exclude(machine_networks="").exists()
    run(monkeypatch, "seed_demo", credentials="-", machine_port=22000, stdin=given)
    ours = CloudAccount.objects.filter(machine_networks="127.77.0.0/16", machine_port=22000)
    assert ours.count() == 3
    theirs.refresh_from_db()
    assert (theirs.machine_networks, theirs.machine_port) == ("", 22)


def test_add_member_twice_and_with_another_role(monkeypatch, teams, mallory):
    for role in ("reader", "reader", "member"):
        said = run(monkeypatch, "add_member", "Acme Web", "Mallory@example.org", role=role)
        assert f"{role} mallory@example.org" in said
    assert mallory.role_in(teams.acme) == "member"
    acts = AuditEntry.objects.filter(team=teams.acme).order_by("pk").values_list("act", flat=True)
    assert list(acts) == ["member.add", "member.role"]


def test_add_member_keeps_the_last_owner(monkeypatch, teams, alice):
    with pytest.raises(CommandError, match="needs an owner"):
        run(monkeypatch, "add_member", "Acme Web", "alice@example.org", role="reader")
    assert alice.role_in(teams.acme) == "owner"


@pytest.mark.parametrize("names", [("No such", "bob@example.org"), ("Acme Web", "who@x.org")])
def test_add_member_says_what_is_missing(monkeypatch, teams, names):
    with pytest.raises(CommandError, match=r"There is no team|Nobody signs in"):
        run(monkeypatch, "add_member", *names)


def test_make_staff_and_take_it_back(monkeypatch, teams, alice, bob):
    for _turn in range(2):
        assert "is staff" in run(monkeypatch, "make_staff", "Bob@example.org")
    bob.refresh_from_db()
    assert bob.is_staff
    now = timezone.now()
    access = Impersonation.objects.create(
        staff=bob, customer=alice, reason="Ticket", started_at=now, until=now + timedelta(minutes=9)
    )
    for _turn in range(2):
        assert "is not staff" in run(monkeypatch, "make_staff", "bob@example.org", remove=True)
    access.refresh_from_db()
    assert access.ended_at is not None
    acts = AuditEntry.objects.filter(act__in=["staff.add", "staff.remove"])
    assert acts.count() == 2


def test_make_staff_refuses_operators_and_strangers(monkeypatch, alice):
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    for email in ("alice@example.org", "nobody@example.org"):
        with pytest.raises(CommandError):
            run(monkeypatch, "make_staff", email)


def test_allow_machines_says_where_the_panel_may_log_in(monkeypatch, teams):
    account = CloudAccount.objects.create(
        team=teams.acme, name="Prod", auth_url="https://c.example"
    )
    ask = ["allow_machines", "Acme Web", "Prod"]
    for _turn in range(2):
        said = run(monkeypatch, *ask, networks=["10.20.0.0/16", "2001:db8::/32"], port=2222)
        assert "in 10.20.0.0/16, 2001:db8::/32, port 2222" in said
    account.refresh_from_db()
    assert (account.machine_networks, account.machine_port) == ("10.20.0.0/16 2001:db8::/32", 2222)
    assert AuditEntry.objects.filter(act="account.machines").count() == 1
    for wrong in ({"networks": ["10.20.0.1/16"]}, {"networks": ["all"]}, {"port": 0}):
        with pytest.raises(CommandError, match="is no"):
            run(monkeypatch, *ask, **wrong)
    with pytest.raises(CommandError, match="has no cloud account"):
        run(monkeypatch, "allow_machines", "Other", "Prod")
    assert "public addresses only, port 2222" in run(monkeypatch, *ask, networks=[])
