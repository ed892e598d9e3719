"""What a team decided holds: who reads passwords, which images may be used."""

import itertools
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client

from instances import rescue
from instances.models import Rescue
from teams.models import AuditEntry, CloudAccount, Membership, User
from teams.permissions import Role
from tests.instances import rows

#: whether each may read a password that bob asked for and erin took over
READERS = {
    "members": {"alice": True, "bob": True, "dave": True, "erin": True, "carol": False},
    "owners": {"alice": True, "bob": True, "dave": False, "erin": True, "carol": False},
    "requester": {"alice": False, "bob": True, "dave": False, "erin": True, "carol": False},
}


@pytest.fixture
def people(teams: SimpleNamespace, alice: Any, bob: Any, carol: Any) -> dict[str, User]:
    """Give the cast, and two more members."""
    more = {}
    for name in ("dave", "erin"):
        more[name] = User.objects.create_user(f"{name}@example.org", "x", name=name)
        Membership.objects.create(team=teams.acme, user=more[name], role=Role.MEMBER)
    return {"alice": alice, "bob": bob, "carol": carol} | more


@pytest.fixture
def account(teams: SimpleNamespace) -> CloudAccount:
    made = rows.account(teams.acme)
    rows.images(made)
    return made


@pytest.mark.parametrize(("word", "name"), [*itertools.product(READERS, READERS["members"])])
def test_who_reads_a_password(
    client: Client, teams: Any, account: CloudAccount, people: dict[str, User], word: str, name: str
) -> None:
    teams.acme.password_readers = word
    teams.acme.save()
    made = rows.rescue(rows.rescued(account), "READY", people["bob"], holder=people["erin"])
    shown = Rescue.objects.get(pk=made.pk)
    may = READERS[word][name]
    assert shown.shows_password_to(people[name]) is may
    client.force_login(people[name])
    answer = client.post(f"/rescues/{made.pk}/password")
    assert answer.status_code == (200 if may else 403)
    assert (rows.PASSWORD in answer.content.decode()) is may
    assert AuditEntry.objects.filter(act="password.reveal").exists() is may


def test_it_appears_by_itself_only_if_the_team_wants(
    teams: Any, account: CloudAccount, people: dict[str, User]
) -> None:
    made = rows.rescue(rows.rescued(account), "READY", people["bob"], holder=people["bob"])
    for word, wanted in itertools.product(READERS, (True, False)):
        teams.acme.password_readers, teams.acme.auto_show_password = word, wanted
        teams.acme.save()
        shown = Rescue.objects.get(pk=made.pk)
        assert shown.reveals_automatically_for(people["bob"]) is wanted
        assert not shown.reveals_automatically_for(people["alice"])


def ask(instance: Any, by: User) -> Rescue:
    return rescue.start(
        instance=instance, image_ref=rows.RESCUE_IMAGE, by=by, idempotency_key=uuid.uuid4()
    )


@pytest.mark.parametrize("named", ["Rescue distribution", rows.RESCUE_IMAGE])
def test_an_allowed_image_is_offered(
    teams: Any, account: CloudAccount, alice: Any, named: str
) -> None:
    teams.acme.allowed_images = ["another", named]
    teams.acme.save()
    server = rows.instance(CloudAccount.objects.get(pk=account.pk))
    assert [choice.name for choice in rescue.picker_for(server).choices] == ["Rescue distribution"]
    assert ask(server, alice).image_name == "Rescue distribution"


def test_another_is_shown_with_the_reason_and_refused_on_the_server(
    client: Client, teams: Any, account: CloudAccount, alice: Any
) -> None:
    teams.acme.allowed_images = ["another"]
    teams.acme.save()
    server = rows.instance(CloudAccount.objects.get(pk=account.pk))
    client.force_login(alice)
    page = client.get(f"/instances/{server.pk}/rescue").content.decode()
    assert "your team does not allow this image" in page
    with pytest.raises(rescue.NotPossible, match="your team does not allow this image"):
        ask(server, alice)
    assert not Rescue.objects.exists()


# The page ---------------------------------------------------------------------------------------

FORM = {
    "name": "Acme Web",
    "password_readers": "requester",
    "reason_required": "on",
    "rescue_hours": "8",
    "exits_by_itself": "on",
    "remind_hours": "2",
    "allowed_images": ["Rescue distribution"],
    "other_images": " grml \n\n rescue  tools\ngrml",
}


def test_owners_decide_and_it_is_written_down(
    client: Client, teams: Any, account: CloudAccount, alice: Any
) -> None:
    client.force_login(alice)
    address = f"/teams/{teams.acme.pk}/settings"
    assert "Rescue distribution" in client.get(address).content.decode()
    assert client.post(address, FORM).status_code == 302
    teams.acme.refresh_from_db()
    assert teams.acme.allowed_images == ["Rescue distribution", "grml", "rescue tools"]
    assert (teams.acme.rescue_hours, teams.acme.remind_hours) == (8, 2)
    assert not teams.acme.auto_show_password
    entry = AuditEntry.objects.get()
    assert entry.act == "team.settings"
    assert entry.details["old"]["password_readers"] == "members"
    assert entry.details["new"]["password_readers"] == "requester"
    page = client.get(address).content.decode()
    assert "grml\nrescue tools</textarea>" in page
    assert client.post(address, FORM).status_code == 302
    assert AuditEntry.objects.count() == 1  # nothing changed, nothing to write


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": ""}, "This is needed."),
        ({"name": "other corp"}, "exists already"),
        ({"rescue_hours": "0"}, "greater than or equal to 1"),
        ({"rescue_hours": "337"}, "less than or equal to 336"),
        ({"rescue_hours": "soon"}, "whole number"),
        ({"rescue_hours": ""}, "Say after how many hours"),
        ({"remind_hours": ""}, "This is needed."),
        ({"password_readers": "everybody"}, "Select a valid choice"),
        ({"allowed_images": ["None such"]}, "Select a valid choice"),
        ({"other_images": "x" * 256}, "255 characters"),
    ],
)
def test_bad_settings_change_nothing(
    client: Client,
    teams: Any,
    account: CloudAccount,
    alice: Any,
    change: dict[str, Any],
    reason: str,
) -> None:
    client.force_login(alice)
    answer = client.post(f"/teams/{teams.acme.pk}/settings", FORM | change)
    assert answer.status_code == 422
    assert reason in answer.content.decode()
    teams.acme.refresh_from_db()
    assert teams.acme.password_readers == "members"
    assert not AuditEntry.objects.exists()


def test_a_renamed_team_is_renamed_and_written_down(
    client: Client, teams: Any, account: CloudAccount, alice: Any
) -> None:
    client.force_login(alice)
    client.post(f"/teams/{teams.acme.pk}/settings", FORM | {"name": "Acme"})
    teams.acme.refresh_from_db()
    assert teams.acme.name == "Acme"
    assert set(AuditEntry.objects.values_list("act", flat=True)) == {"team.settings", "team.rename"}


# The choice of a team -----------------------------------------------------------------------------


def test_the_list_of_one_team_keeps_the_choice(
    client: Client, teams: Any, account: CloudAccount, alice: Any
) -> None:
    Membership.objects.create(team=teams.other, user=alice, role=Role.READER)
    rows.instance(account, "ours-1")
    for at in range(60):
        rows.instance(account, f"ours-{at + 2}")
    rows.instance(rows.account(teams.other, "theirs"), "theirs-1")
    client.force_login(alice)
    everything = client.get("/?q=s-1").content.decode()
    assert "ours-1" in everything
    assert "theirs-1" in everything
    chosen = client.get(f"/?team={teams.acme.pk}").content.decode()
    assert "theirs-1" not in chosen
    for kept in ("page=2", "status=running", "sort=status"):
        assert f"?team={teams.acme.pk}&amp;{kept}" in chosen, kept
    assert f'name="team" value="{teams.acme.pk}"' in chosen
    other = client.get(f"/?team={teams.other.pk}").content.decode()
    assert ("theirs-1" in other, "ours-1" in other) == (True, False)


@pytest.mark.parametrize("asked", ["", "0", "x", "999999", "1 or 1", "²"])
def test_a_team_that_is_not_ones_own_is_no_choice(
    client: Client, teams: Any, account: CloudAccount, alice: Any, asked: str
) -> None:
    rows.instance(account, "ours-1")
    rows.instance(rows.account(teams.other, "theirs"), "theirs-1")
    client.force_login(alice)
    for word in (asked, str(teams.other.pk)):
        page = client.get("/", {"team": word}).content.decode()
        assert ("ours-1" in page, "theirs-1" in page) == (True, False)


def test_keys_stand_beside_the_servers_pair(
    client: Client, teams: Any, account: CloudAccount, alice: Any
) -> None:
    account.images.update(tags=[], properties={"os_distro": "debian"})
    alice.ssh_keys.create(name="laptop", key_type="ssh-ed25519", fingerprint="SHA256:mine")
    teams.acme.ssh_keys.create(name="bastion", key_type="ssh-ed25519", fingerprint="SHA256:ours")
    teams.other.ssh_keys.create(name="not ours", key_type="ssh-rsa", fingerprint="SHA256:theirs")
    server = rows.instance(account, key_name="deploy-2024")
    client.force_login(alice)
    page = client.get(f"/instances/{server.pk}/rescue").content.decode()
    assert "key pair “deploy-2024”" in page
    assert "SHA256:mine" in page
    assert "SHA256:ours" in page
    assert "SHA256:theirs" not in page


def test_denied_by_the_use_case_itself(
    teams: Any, account: CloudAccount, alice: Any, bob: Any
) -> None:
    teams.acme.password_readers = "requester"
    teams.acme.save()
    made = rows.rescue(rows.rescued(account), "READY", bob)
    with pytest.raises(PermissionDenied):
        rescue.reveal_password(rescue=Rescue.objects.get(pk=made.pk), by=alice)
