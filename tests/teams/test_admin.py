"""The admin: staff look, operators change a little, nobody sees a secret."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from teams import webhooks
from teams.admin import site
from teams.models import AuditEntry, Invitation, User
from tests.instances import rows

LISTS = [f"admin:{m._meta.app_label}_{m._meta.model_name}" for m in site._registry]


@pytest.fixture
def operator(sam: Any, client: Client) -> Client:
    User.objects.filter(pk=sam.pk).update(is_superuser=True)
    client.force_login(User.objects.get(pk=sam.pk))
    return client


@pytest.fixture
def things(teams: Any, alice: Any) -> dict[str, Any]:
    rescue = rows.rescue(rows.rescued(rows.account(teams.acme)), "READY", alice)
    hook, secret = webhooks.add(teams.acme, url="https://x.example/", events=[], by=alice)
    Invitation.objects.create(
        team=teams.acme, email="x@example.org", role="member", token_hash="canary-hash",
        expires_at=rescue.created_at,
    )  # fmt: skip
    account = rescue.instance.account
    tokens = [rescue.sealed_password, account.sealed_credential, hook.sealed_secret]
    return {"secrets": [rows.PASSWORD, secret, "canary-hash", alice.password, *tokens]}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("powerful", [False, True])
def test_no_page_shows_a_secret(
    name: str, powerful: bool, sam: Any, client: Client, things: Any
) -> None:
    User.objects.filter(pk=sam.pk).update(is_superuser=powerful)
    client.force_login(User.objects.get(pk=sam.pk))
    model = next(m for m in site._registry if name.endswith(f"_{m._meta.model_name}"))
    pages = [reverse(f"{name}_changelist"), reverse(f"{name}_changelist") + "?q=acme"]
    for row in model._default_manager.all()[:3]:
        pages += [reverse(f"{name}_{kind}", args=[row.pk]) for kind in ("change", "history")]
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        for secret in things["secrets"]:
            assert secret not in answer.content.decode(), page


def test_support_changes_nothing(sam: Any, client: Client, alice: Any, teams: Any) -> None:
    client.force_login(sam)
    for path in (
        f"/admin/teams/user/{alice.pk}/change/",
        f"/admin/teams/team/{teams.acme.pk}/change/",
    ):
        shown = client.get(path).content.decode()
        assert 'name="_save"' not in shown
        assert client.post(path, {"name": "x"}).status_code == 403


def test_an_operator_disables_an_account_and_the_trail_says_so(
    operator: Client, alice: Any, sam: Any
) -> None:
    path = f"/admin/teams/user/{alice.pk}/change/"
    assert operator.post(path, {"name": "Alice", "is_superuser": "on"}).status_code == 302
    alice.refresh_from_db()
    assert not alice.is_active and not alice.is_superuser
    entry = AuditEntry.objects.get(act="admin.change")
    assert entry.actor == sam and "alice@example.org" not in entry.details
    assert client_is_out(alice)


def client_is_out(person: Any) -> bool:
    client = Client()
    return not client.login(username=person.email, password="rescue-demo")


@pytest.mark.parametrize("model", ["auditentry", "impersonation", "delivery"])
def test_what_happened_is_read_only_for_all(operator: Client, model: str, alice: Any) -> None:
    assert operator.get(f"/admin/teams/{model}/add/").status_code == 404
    assert operator.post(f"/admin/teams/{model}/1/change/", {}).status_code == 403
    assert operator.post(f"/admin/teams/{model}/1/delete/", {}).status_code == 404


def test_one_signs_in_at_the_panel_s_own_door(client: Client, db: None) -> None:
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/sign-in?next=")
    assert client.post("/admin/login/", {"username": "x", "password": "y"}).status_code == 302
