"""Cloud accounts against the look-alike over real HTTP: tested, connected, rotated, ended."""

import httpx
import pytest
from django.core.cache import cache

from instances import accounts, cloud, driver, inventory
from instances.accounts import NotPossible
from instances.cloud import BadCredentials, open_account
from instances.credentials import Given
from instances.findings import WORDS, Finding
from instances.models import CloudMirror, Instance, Rescue
from teams.models import AuditEntry, CloudAccount
from tests.instances.conftest import drive
from tests.instances.fakehttp import fake_cloud

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo", "fresh_connections")]
GRA, SBG = "Demo-GRA", "Demo-SBG"


@pytest.fixture
def opens(credential):
    """Give what opens the look-alike, changed where asked."""

    def given(way="acme", region=GRA, **auth):
        found = credential(way)
        return Given(found | {"auth": found["auth"] | auth}, region)

    return given


@pytest.fixture
def minted(democloud):
    """Make another application credential of alice's, as she would in her cloud."""

    def mint(**wanted):
        user = {"name": "alice", "password": "demo", "domain": {"id": "default"}}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "acme", "domain": {"id": "default"}}},
        }
        answer = httpx.post(f"{democloud}/auth/tokens", json={"auth": auth})
        assert answer.status_code == 201, answer.text
        path = f"/users/{answer.json()['token']['user']['id']}/application_credentials"
        made = httpx.post(
            democloud + path,
            json={"application_credential": {"name": "new", **wanted}},
            headers={"X-Auth-Token": answer.headers["X-Subject-Token"]},
        ).json()["application_credential"]
        auth = {
            "auth_url": democloud,
            "application_credential_id": made["id"],
            "application_credential_secret": made["secret"],
        }
        return Given({"auth_type": "v3applicationcredential", "auth": auth}, GRA)

    return mint


@pytest.fixture
def connected(teams, alice, opens):
    return accounts.connect(team=teams.acme, by=alice, name="Production", given=opens())


def codes(findings):
    return [finding.code for finding in findings]


def refusal(call, **given):
    with pytest.raises(NotPossible) as caught:
        call(**given)
    return caught.value


# What a test finds ------------------------------------------------------------------------------


def test_all_is_well(opens):
    inquiry, findings = accounts.probe(opens().credential, GRA)
    assert codes(findings) == ["works"] and not inquiry.refused
    assert inquiry.regions == [GRA, SBG] and inquiry.project_id and inquiry.microversion


WRONG = {
    "wrong_secret": {"application_credential_secret": "wrong"},
    "unknown_credential": {"application_credential_id": "0" * 32},
    "unreachable": {"auth_url": "http://127.0.0.1:1/v3"},
    "name_unknown": {"auth_url": "https://there-is-none.invalid/v3"},
    "address_private": {"auth_url": "https://169.254.169.254/v3"},
    "address_malformed": {"auth_url": "gopher://127.0.0.1/v3"},
}


@pytest.mark.parametrize("code", WRONG)
def test_what_is_wrong_with_a_credential(opens, code):
    inquiry, findings = accounts.probe(opens(**WRONG[code]).credential, GRA)
    assert codes(findings) == [code] and inquiry.refused
    assert findings[0].sentence and "{" not in findings[0].sentence + findings[0].advice


def test_an_admins_credential_is_refused(teams, alice, opens):
    problem = refusal(
        accounts.connect, team=teams.acme, by=alice, name="All", given=opens("admin")
    )  # fmt: skip
    assert codes(problem.findings) == ["admin"]
    assert "everybody’s servers" in problem.findings[0].sentence
    assert not CloudAccount.objects.exists() and not AuditEntry.objects.exists()


def test_one_that_only_reads_is_refused(opens):
    _inquiry, findings = accounts.probe(opens("acme-reader").credential, GRA)
    assert codes(findings) == ["only_reads"] and "reader" in findings[0].sentence


def test_a_region_that_is_not_there(opens):
    _inquiry, findings = accounts.probe(opens().credential, "Mars")
    assert codes(findings) == ["no_such_region"] and GRA in findings[0].sentence


def test_without_a_region_the_first_is_taken(opens):
    inquiry, _findings = accounts.probe(opens().credential, "")
    assert inquiry.region_name == GRA


LISTING = {"service": "compute", "method": "GET", "path": "/v2.1/servers/**"}
RESCUING = {"service": "compute", "method": "POST", "path": "/v2.1/servers/*/action"}


def test_an_unrestricted_one_is_noted(minted):
    _inquiry, findings = accounts.probe(minted(unrestricted=True).credential, GRA)
    assert codes(findings) == ["works", "unrestricted"] and findings[1].level == "warning"


def test_access_rules_without_the_action_are_refused(minted):
    _inquiry, findings = accounts.probe(minted(access_rules=[LISTING]).credential, GRA)
    assert codes(findings) == ["rules"]


def test_access_rules_that_a_cloud_does_not_apply_let_nothing_through(minted):
    given = minted(access_rules=[LISTING, RESCUING])
    _inquiry, findings = accounts.probe(given.credential, GRA)
    assert codes(findings) == ["cannot_list"]


def test_the_end_is_known_and_near(minted):
    from datetime import UTC, datetime, timedelta

    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10, hours=1)
    given = minted(expires_at=ends.isoformat().removesuffix("+00:00"))
    inquiry, findings = accounts.probe(given.credential, GRA)
    assert inquiry.expires_at == ends
    assert codes(findings) == ["works", "expires_soon"] and findings[1].about == {"days": 10}


def test_a_password_is_noted(democloud):
    user = {"username": "alice", "password": "demo", "user_domain_id": "default"}
    project = {"project_name": "acme", "project_domain_id": "default", "auth_url": democloud}
    credential = {"auth_type": "v3password", "auth": user | project}
    _inquiry, findings = accounts.probe(credential, GRA)
    assert codes(findings) == ["works", "password_credential"]
    wrong = credential | {"auth": credential["auth"] | {"password": "no"}}
    assert codes(accounts.probe(wrong, GRA)[1]) == ["wrong_password"]
    unscoped = credential | {"auth": user | {"auth_url": democloud}}
    assert codes(accounts.probe(unscoped, GRA)[1]) == ["unscoped"]


AWAY = {
    "keystone": ("503", ["keystone_fails"]),
    "nova": ("503", ["compute_silent"]),
    "glance": ("503", ["works", "images_silent"]),
}


@pytest.mark.parametrize("service", AWAY)
def test_a_service_that_is_away(demo, opens, service):
    how, expected = AWAY[service]
    demo.knobs(**{f"{service}_down": how})
    _inquiry, findings = accounts.probe(opens().credential, GRA)
    assert codes(findings) == expected


# What the look-alike never does -----------------------------------------------------------------


def of(fake):
    auth = {
        "auth_url": f"{fake.url}/v3",
        "application_credential_id": "id",
        "application_credential_secret": "our-secret",
    }
    return {"auth_type": "v3applicationcredential", "auth": auth}


@pytest.fixture
def fake():
    with fake_cloud() as made:
        made.answer("/compute/v2.1/servers/detail", 200, {"servers": []})
        made.answer("/image/v2/images", 200, {"images": []})
        links = [{"rel": "self", "href": f"{made.url}/image/v2/"}]
        versions = [{"id": "v2.16", "status": "CURRENT", "links": links}]
        made.answer("/image", 200, {"versions": versions})
        yield made


def told(fake, change=None):
    token = fake._token()
    if change:
        change(token["token"])
    fake.answer("/v3/auth/tokens", 201, token, {"X-Subject-Token": "the-token"})
    return codes(accounts.probe(of(fake), "R")[1])


def test_the_fake_is_a_cloud(fake):
    assert told(fake) == ["works"], [one[:2] for one in fake.asked]


ODD = {
    "no_compute": lambda token: token["catalog"].pop(0),
    "no_images": lambda token: token["catalog"].pop(1),
    "unscoped": lambda token: token.pop("project"),
    "admin": lambda token: token.update(roles=[{"name": "Admin", "id": "1"}]),
    "only_reads": lambda token: token.update(roles=[{"name": "reader", "id": "1"}]),
}


@pytest.mark.parametrize("code", ODD)
def test_odd_tokens(fake, code):
    assert told(fake, ODD[code]) == [code]


def test_an_unknown_role_is_believed(fake):
    roles = [{"name": "compute_operator", "id": "1"}]
    assert told(fake, lambda token: token.update(roles=roles)) == ["works"]


def test_one_that_sees_others_servers_is_refused(fake):
    others = {"servers": [{"id": "s", "tenant_id": "theirs"}, {"id": "t", "tenant_id": "ours"}]}
    fake.answer("/compute/v2.1/servers/detail", 200, others)
    assert "sees_others" in told(fake)


def test_an_old_nova_is_refused(fake):
    fake.speaks("2.30")
    assert told(fake) == ["too_old"]


def test_a_nova_that_refuses_to_list(fake):
    no = {"forbidden": {"message": "Policy", "code": 403}}
    fake.answer("/compute/v2.1/servers/detail", 403, no)
    assert told(fake) == ["cannot_list"]


NOT_KEYSTONE = [
    (200, b"<html>hello</html>"), (404, b"<h1>no</h1>"), (201, b"{}"), (201, b'{"token": 3}'),
    (201, b"[" * 2000), (401, b"<html>who are you</html>"), (418, b"{}"), (204, b""),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), NOT_KEYSTONE)
def test_what_is_not_keystone(fake, status, body):
    fake.answer("/v3/auth/tokens", status, body, {"X-Subject-Token": "x"})
    assert codes(accounts.probe(of(fake), "R")[1]) == ["not_keystone"]


def test_too_many_requests(fake):
    fake.answer("/v3/auth/tokens", 429, {"error": {"message": "slow down", "code": 429}})
    assert codes(accounts.probe(of(fake), "R")[1]) == ["limited"]


def test_names_of_a_hostile_cloud_can_be_kept(fake, teams, alice):
    def hostile(token):
        token["project"]["name"] = "\x00<b>{project}\ud800" + "x" * 999
        for service in token["catalog"]:
            service["endpoints"][0]["region_id"] = service["endpoints"][0]["region"] = "R"

    told(fake, hostile)
    made = accounts.connect(
        team=teams.acme, by=alice, name="Odd", given=Given(of(fake), "R")
    )  # fmt: skip
    (finding,) = accounts.findings_of(CloudAccount.objects.get(pk=made.pk))
    assert "\x00" not in finding.sentence and "<b>{project}" in finding.sentence


def test_every_code_has_words():
    import re
    from pathlib import Path

    source = Path(cloud.__file__).with_name("inquiry.py").read_text()
    said = set(re.findall(r'_Enough\(\s*"(\w+)"', source))
    said |= set(re.findall(r'add\("\w+", "(\w+)"', source))
    assert len(said) > 10 and said <= set(WORDS)
    assert Finding("error", "never-heard-of").sentence == Finding("error", "broken").sentence
    assert Finding("error", "tls").sentence  # without its parameters it says something all the same


# Connect ----------------------------------------------------------------------------------------


def test_connect_writes_what_was_found(connected, teams, alice):
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.target, entry.actor) == ("account.connect", "Production", alice)
    assert connected.tested_at and codes(accounts.findings_of(connected)) == ["works"]
    assert inventory.due_accounts() == [connected.pk]
    inventory.sync(connected.pk)
    assert Instance.objects.visible_to(alice).count() > 20


def test_a_name_is_used_once(connected, teams, alice, opens):
    given = opens(region=SBG)
    problem = refusal(accounts.connect, team=teams.acme, by=alice, name="Production", given=given)
    assert problem.field == "name"


def test_a_project_is_connected_once_in_a_region(connected, teams, alice, opens):
    problem = refusal(accounts.connect, team=teams.acme, by=alice, name="Twice", given=opens())
    assert codes(problem.findings) == ["already_connected"]
    assert "Production" in problem.findings[0].sentence


def test_another_team_has_its_own(connected, teams, mallory, opens):
    given = opens("othercorp")
    accounts.connect(team=teams.other, by=mallory, name="Production", given=given)
    assert CloudAccount.objects.count() == 2


def test_more_regions(connected, alice):
    assert accounts.regions_left(connected) == [SBG]
    (made,) = accounts.connect_more(account=connected, by=alice, regions=[SBG, GRA, "Mars"])
    assert (made.name, made.region_name) == (f"Production {SBG}", SBG)
    assert accounts.regions_left(connected) == []
    assert made.credential() == connected.credential()
    assert refusal(accounts.connect_more, account=connected, by=alice, regions=[SBG]).sentence


# Rotate -----------------------------------------------------------------------------------------


def test_rotate(connected, alice, minted, demo):
    before = connected.credential_version
    given = minted()
    accounts.rotate(account=connected, by=alice, given=given)
    connected.refresh_from_db()
    assert connected.credential() == given.credential and connected.rotated_at
    assert connected.credential_version == before + 1
    assert AuditEntry.objects.filter(act="account.rotate").count() == 1


def test_another_projects_credential_is_refused(connected, alice, opens):
    problem = refusal(accounts.rotate, account=connected, by=alice, given=opens("othercorp"))
    assert codes(problem.findings) == ["other_project"]
    connected.refresh_from_db()
    assert connected.credential() == opens().credential


def test_a_wrong_one_changes_nothing(connected, alice, opens):
    wrong = opens(application_credential_secret="wrong")
    problem = refusal(accounts.rotate, account=connected, by=alice, given=wrong)
    assert codes(problem.findings) == ["wrong_secret"]
    connected.refresh_from_db()
    assert connected.credential() == opens().credential


def test_a_rescue_under_way_goes_on_with_the_new_one(start, alice, minted, demo):
    row = start()
    driver.step(row.pk)
    account = row.instance.account
    old = account.credential()["auth"]["application_credential_id"]
    accounts.rotate(account=account, by=alice, given=minted())
    demo.knobs(revoked_credentials=[old])
    try:
        assert drive(row).state == "READY"
    finally:
        demo.knobs(revoked_credentials=[])


# Test again, rename -----------------------------------------------------------------------------


def test_a_test_is_kept_and_the_account_stays(connected, alice, demo):
    ident = connected.credential()["auth"]["application_credential_id"]
    demo.knobs(revoked_credentials=[ident])
    try:
        findings = accounts.test(account=connected, by=alice)
    finally:
        demo.knobs(revoked_credentials=[])
    assert codes(findings) == ["unknown_credential"]
    connected.refresh_from_db()
    assert connected.findings[0]["level"] == "error" and connected.sealed_credential
    entry = AuditEntry.objects.get(act="account.test")
    assert entry.details == {"found": ["unknown_credential"]}


def test_a_credential_that_cannot_be_opened_is_said(connected, alice):
    CloudAccount.objects.update(sealed_credential="v1:00000000:AAAA")
    connected.refresh_from_db()
    assert codes(accounts.test(account=connected, by=alice)) == ["cannot_open"]
    with pytest.raises(NotPossible):
        accounts.connect_more(account=connected, by=alice, regions=[SBG])


def test_rename(connected, teams, alice, opens):
    accounts.connect(team=teams.acme, by=alice, name="Other", given=opens(region=SBG))
    assert refusal(accounts.rename, account=connected, by=alice, name="Other").field == "name"
    accounts.rename(account=connected, by=alice, name="Main")
    accounts.rename(account=connected, by=alice, name="Main")
    entry = AuditEntry.objects.get(act="account.rename")
    assert (entry.target, entry.details) == ("Main", {"before": "Production"})


# Disconnect -------------------------------------------------------------------------------------


def test_disconnect(connected, alice, teams):
    inventory.sync(connected.pk)
    held = open_account(connected)
    accounts.disconnect(account=connected, by=alice)
    connected.refresh_from_db()
    assert connected.sealed_credential == "" and connected.disconnected_at
    assert not Instance.objects.visible_to(alice).exists() and Instance.objects.exists()
    assert inventory.due_accounts() == [] and inventory.sync(connected.pk) == []
    with pytest.raises(BadCredentials):
        assert open_account(connected) is not held
    assert AuditEntry.objects.filter(act="account.disconnect").count() == 1
    again = refusal(accounts.disconnect, account=connected, by=alice)
    assert "disconnected meanwhile" in str(again.sentence)


def test_not_while_a_rescue_needs_it(start, alice):
    row = start("web-1")
    account = row.instance.account
    problem = refusal(accounts.disconnect, account=account, by=alice)
    assert "web-1" in str(problem.sentence)
    account.refresh_from_db()
    assert account.sealed_credential and account.disconnected_at is None


def test_a_rescue_of_somebody_else_does_not_hold_it(connected, alice):
    inventory.sync(connected.pk)
    driver.wake(set(Instance.objects.values_list("pk", flat=True)))
    driver.adopt(connected.pk)
    assert Rescue.objects.filter(state="EXTERNAL").exists()
    accounts.disconnect(account=connected, by=alice)
    assert not Rescue.objects.in_panel_of(alice).exists() and driver.due() == []


def test_the_same_project_comes_back_with_its_history(connected, teams, alice, opens):
    inventory.sync(connected.pk)
    instances = set(Instance.objects.values_list("pk", flat=True))
    accounts.disconnect(account=connected, by=alice)
    again = accounts.connect(team=teams.acme, by=alice, name="Again", given=opens())
    assert again.pk == connected.pk and again.disconnected_at is None
    inventory.sync(again.pk)
    assert set(Instance.objects.visible_to(alice).values_list("pk", flat=True)) <= instances


def test_another_project_takes_the_name_of_one_that_is_gone(connected, teams, alice, opens):
    accounts.disconnect(account=connected, by=alice)
    given = opens("othercorp")
    made = accounts.connect(team=teams.acme, by=alice, name="Production", given=given)
    connected.refresh_from_db()
    assert made.pk != connected.pk and made.name == "Production"
    assert connected.name.startswith("Production (")
    assert CloudMirror.objects.count() == 2


# Secrets ----------------------------------------------------------------------------------------


def test_the_secret_is_in_no_row_no_log_and_not_in_redis(
    teams, alice, opens, minted, caplog, redis_server
):
    import redis
    from django.apps import apps

    first, second = opens(), minted()
    secrets = [one.credential["auth"]["application_credential_secret"] for one in (first, second)]
    with caplog.at_level("DEBUG"):
        account = accounts.connect(team=teams.acme, by=alice, name="Kept", given=first)
        accounts.test(account=account, by=alice)
        accounts.rotate(account=account, by=alice, given=second)
        inventory.sync(account.pk)
        wrong = opens(application_credential_secret=secrets[0] + "x")
        refusal(accounts.rotate, account=account, by=alice, given=wrong)
    cache.set("canary", "here")
    everything = caplog.text + "".join(
        repr(row) for model in apps.get_models() for row in model._base_manager.values_list()
    )
    with redis.Redis.from_url(redis_server.url) as store:
        everything += repr([(key, store.dump(key)) for key in store.scan_iter()])
    assert "canary" in everything and "Kept" in everything
    assert not [secret for secret in secrets if secret in everything]
    assert not [secret for secret in secrets if secret in repr((first, second))]
