"""The pages of cloud accounts, against the look-alike over real HTTP."""

import pytest
from django.urls import reverse

from instances.models import CloudMirror
from teams.models import AuditEntry, CloudAccount

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client, alice, teams):
    client.force_login(alice)
    return client


def at(name, *args):
    return reverse(f"instances:{name}", args=args)


@pytest.fixture
def fields(credential):
    """The form as one would fill it in, with an application credential."""

    def fill(way="acme", **changes):
        auth = credential(way)["auth"]
        return (
            {"name": "Production", "way": "application", "region_name": "Demo-GRA"} | auth | changes
        )

    return fill


@pytest.fixture
def production(owner, teams, fields, demo):
    answer = owner.post(at("account_connect", teams.acme.pk), fields())
    assert answer.status_code == 302, answer.content.decode()
    return CloudAccount.objects.get(name="Production")


def secret(fields):
    return fields()["application_credential_secret"]


def test_connect(owner, teams, production, fields):
    mirror = CloudMirror.objects.get(account=production)
    assert production.region_name == "Demo-GRA" and mirror.project_id and mirror.microversion
    assert production.tested_at and [row["code"] for row in production.findings] == ["works"]
    assert production.credential()["auth"]["application_credential_secret"] == secret(fields)
    entry = AuditEntry.objects.get(act="account.connect")
    assert entry.target == "Production" and entry.details["region"] == "Demo-GRA"
    page = owner.get(at("account", teams.acme.pk, production.pk)).content.decode()
    assert "Signed in to the project" in page and "Demo-SBG" in page
    assert secret(fields) not in page
