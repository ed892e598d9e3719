"""Confirming an address, forgetting a password, signing up, and the limits on tries."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from teams import attempts, invitations
from teams.models import AuditEntry, Invitation, User
from tests.signing import letterbox, link_in

NEW = "a-quite-new-word-9"


@pytest.fixture(autouse=True)
def forget_attempts() -> None:
    cache.clear()


def enter(client: Client, password: str = "rescue-demo", name: str = "alice", **more: str) -> Any:
    fields = {"username": f"{name}@example.org", "password": password} | more
    return client.post("/sign-in", fields)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


def invited(teams: Any, email: str = "zoe@example.org") -> str:
    invitations_hash = invitations.hash_of("secret-link")
    Invitation.objects.create(
        team=teams.acme,
        email=email,
        role="member",
        token_hash=invitations_hash,
        expires_at=timezone.now() + timedelta(days=1),
    )
    return "secret-link"


# Forgotten passwords ------------------------------------------------------------------------------


def test_a_new_password_comes_by_mail_and_ends_the_sessions(
    client: Client, alice: Any, settings: Any
) -> None:
    elsewhere = Client()
    assert enter(elsewhere).status_code == 302
    with letterbox() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.server.port
        answer = client.post("/account/reset", {"email": "alice@example.org"})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/account/reset/sent")
        [letter] = box.letters
        assert letter["To"] == "alice@example.org"
        assert letter["Subject"].startswith("Rescue Panel: ")
        link = box.link()
    form = client.get(link, follow=True)
    where = form.redirect_chain[-1][0]
    weak = client.post(where, {"password1": "short", "password2": "short"})
    assert weak.status_code == 422
    done = client.post(where, {"password1": NEW, "password2": NEW})
    assert done.headers["Location"] == "/account/reset/done"
    assert elsewhere.get("/notifications").status_code == 302
    assert enter(Client()).status_code == 422
    assert enter(Client(), NEW).status_code == 302
    assert b"has expired or was used" in Client().get(link).content
    assert "person.password_reset" in acts()


def test_asking_for_a_new_password_does_not_tell_who_has_an_account(
    client: Client, alice: Any
) -> None:
    known = client.post("/account/reset", {"email": "alice@example.org"})
    unknown = client.post("/account/reset", {"email": "nobody@example.org"})
    assert (known.status_code, known.headers["Location"]) == (
        unknown.status_code,
        unknown.headers["Location"],
    )
    assert len(mail.outbox) == 2
    assert Session.objects.count() == 0
    assert enter(client).headers["Location"] == "/"  # nothing has to be confirmed now


def test_the_mail_is_in_the_language_of_the_page(client: Client, alice: Any) -> None:
    client.post("/account/reset", {"email": "alice@example.org"}, headers={"accept-language": "fr"})
    assert "mot de passe" in mail.outbox[0].body
    assert "example.com" not in mail.outbox[0].body


def test_a_mail_server_that_is_away_is_told(client: Client, alice: Any, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = client.post("/account/reset", {"email": "alice@example.org"})
    assert answer.status_code == 503
    assert b"No mail can be sent now" in answer.content


def test_changing_the_password_keeps_this_session_and_ends_the_others(
    client: Client, alice: Any
) -> None:
    elsewhere = Client()
    enter(client)
    enter(elsewhere)
    fields = {"oldpassword": "rescue-demo", "password1": NEW, "password2": NEW}
    assert client.post("/account/password", fields | {"oldpassword": "x"}).status_code == 422
    assert client.post("/account/password", fields).headers["Location"] == "/account"
    assert client.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 302
    assert "person.password_changed" in acts()


# Signing up ---------------------------------------------------------------------------------------


def test_without_an_invitation_nobody_signs_up(client: Client, teams: Any) -> None:
    fields = {"email": "zoe@example.org", "name": "Zoe", "password1": NEW}
    for token in ("", "guessed"):
        assert client.get(f"/account/sign-up?invitation={token}").status_code == 403
        answer = client.post("/account/sign-up", fields | {"invitation": token})
        assert answer.status_code == 403
    assert not User.objects.filter(email="zoe@example.org").exists()


def test_an_invited_person_signs_up_into_the_team_without_another_mail(
    client: Client, teams: Any
) -> None:
    token = invited(teams)
    page = client.get(f"/account/sign-up?invitation={token}").content.decode()
    assert "zoe@example.org" in page
    assert "Acme Web" in page
    fields = {"email": "evil@example.net", "name": "Zoe", "password1": NEW, "invitation": token}
    assert client.post("/account/sign-up", fields | {"password1": "zoe"}).status_code == 422
    answer = client.post("/account/sign-up", fields)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    zoe = User.objects.get(email="zoe@example.org")
    assert (zoe.name, zoe.role_in(teams.acme)) == ("Zoe", "member")
    assert not User.objects.filter(email="evil@example.net").exists()
    assert client.get("/account").status_code == 200
    assert {"person.sign_up", "member.join", "person.sign_in"} <= set(acts())
    assert Client().get(f"/account/sign-up?invitation={token}").status_code == 403


def test_open_sign_up_asks_to_confirm_the_address(
    client: Client, teams: Any, settings: Any
) -> None:
    settings.OPEN_SIGN_UP = True
    fields = {"email": "zoe@example.org", "name": "Zoe", "password1": NEW}
    assert client.post("/account/sign-up", fields).headers["Location"] == "/account/confirm"
    assert enter(Client(), NEW, "zoe").headers["Location"] == "/account/confirm"
    assert not EmailAddress.objects.get(email="zoe@example.org").verified
    link = link_in(str(mail.outbox[0].body))
    fresh = Client()
    assert b"zoe@example.org" in fresh.get(link).content
    assert fresh.post(link).status_code == 302
    assert enter(fresh, NEW, "zoe").headers["Location"] == "/"
    assert fresh.post(link).status_code in (302, 410)


def test_open_sign_up_does_not_tell_who_has_an_account(
    client: Client, alice: Any, settings: Any
) -> None:
    settings.OPEN_SIGN_UP = True
    fields = {"email": "alice@example.org", "name": "Alice", "password1": NEW}
    answer = client.post("/account/sign-up", fields)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/confirm")
    assert User.objects.filter(email="alice@example.org").count() == 1
    assert enter(Client(), NEW).status_code == 422


def test_a_wrong_link_says_what_to_do(client: Client, db: None) -> None:
    for answer in (client.get("/account/confirm/xyz"), client.post("/account/confirm/xyz")):
        assert answer.status_code == 410
        assert b"used already" in answer.content


# Tries --------------------------------------------------------------------------------------------


def test_a_thousand_wrong_tries_a_minute_are_bounded_and_others_get_in(
    client: Client, teams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    real = User.check_password
    monkeypatch.setattr(
        User, "check_password", lambda user, word: (checked.append(user), real(user, word))[1]
    )
    statuses = [enter(client, f"wrong-{n}", f"alice{n % 5 or ''}").status_code for n in range(1000)]
    assert statuses.count(422) <= attempts.ALLOWED_IN_ALL
    assert statuses[-1] == 429
    assert len(checked) <= attempts.ALLOWED
    assert enter(Client(REMOTE_ADDR="198.51.100.7")).status_code == 302
    assert acts().count("person.sign_in_failed") == 1


def test_a_failed_try_leaves_no_session_and_no_password(client: Client, alice: Any) -> None:
    enter(client, "my-secret-typo")
    assert Session.objects.count() == 0
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.target) == ("person.sign_in_failed", "alice@example.org")
    assert "my-secret-typo" not in str(entry.details)


def test_a_password_typed_as_address_is_not_kept(client: Client, alice: Any) -> None:
    client.post("/sign-in", {"username": "my-secret-typo", "password": "x"})
    assert AuditEntry.objects.count() == 0


def test_ten_thousand_anonymous_visits_leave_no_session(client: Client, db: None) -> None:
    pages = (
        "/sign-in", "/account/reset", "/account/reset/sent", "/account/reset/done",
        "/account/confirm", "/account/confirm/x", "/account/reset/1-x", "/account/inactive",
        "/account/sign-up", "/account/second-factor", "/account/with/oidc/back", "/account", "/",
    )  # fmt: skip
    for page in pages:
        client.get(page, headers={"x-requested-with": "XMLHttpRequest"})
        client.get(page)
    assert Session.objects.count() == 0
    for _ in range(200):  # all paths once is what matters; the many show that nothing adds up
        client.get("/sign-in")
    assert Session.objects.count() == 0
    assert "session" not in client.cookies


def test_signing_in_changes_the_session_and_is_written_down(client: Client, alice: Any) -> None:
    enter(client)
    first = client.session.session_key
    client.post("/sign-out")
    enter(client)
    assert client.session.session_key != first
    assert acts() == ["person.sign_in", "person.sign_out", "person.sign_in"]
    assert AuditEntry.objects.order_by("pk")[0].details == {"by": "password"}


def test_a_planted_session_is_not_taken_over(client: Client, alice: Any) -> None:
    stranger = Client()
    stranger.cookies["session"] = "planted-by-somebody-else-0000000"
    enter(stranger)
    assert stranger.cookies["session"].value != "planted-by-somebody-else-0000000"


def test_a_closed_account_is_shut(client: Client, alice: Any) -> None:
    enter(client)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert client.get("/account").status_code == 302
    assert enter(Client()).status_code == 422


def test_the_name_can_be_changed(client: Client, alice: Any) -> None:
    client.force_login(alice)
    assert re.search(r"alice@example\.org", client.get("/account").content.decode())
    assert client.post("/account", {"name": "x" * 200}).status_code == 422
    assert client.post("/account", {"name": "Alice B."}).status_code == 302
    assert User.objects.get(pk=alice.pk).name == "Alice B."
