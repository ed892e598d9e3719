"""Signing in as people do: a forgotten password, an app's codes, a passkey, another's word."""

import re
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, Page, expect

from tests.browser import Say, saying
from tests.journeys.conftest import Watch
from tests.panel import PASSWORD
from tests.services import running_demo, wait_until
from tests.signing import CLIENT, SECRET, know, link_in, running_provider

NEW = "a-quite-new-word-9"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, democloud: str) -> Iterator[SimpleNamespace]:
    """Give a demo that knows a provider and a cloud; by name, as passkeys are bound to names."""
    with running_provider() as issuer:
        provider = {
            "OIDC_ISSUER": issuer,
            "OIDC_NAME": "Example ID",
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": SECRET,
            "KEYSTONE_SIGN_IN_URL": democloud,
            "KEYSTONE_SIGN_IN_NAME": "My Cloud",
        }
        with running_demo(tmp_path_factory.mktemp("house"), **provider) as demo:
            url = f"http://localhost:{demo.port}"
            yield SimpleNamespace(url=url, mail=demo.folder / "data/mail", issuer=issuer)


@pytest.fixture
def arrive(
    browser: Browser, house: SimpleNamespace, watch: Watch
) -> Iterator[Callable[[str], tuple[Page, Say]]]:
    """Open the panel in a new browser, with a device that holds passkeys."""
    contexts = []

    def arrive(language: str) -> tuple[Page, Say]:
        locale = {"en": "en-GB", "fr": "fr-FR"}[language]
        context = browser.new_context(base_url=house.url, locale=locale)
        contexts.append(context)
        # The provider's page wants a style sheet from far away.
        context.route(re.compile(r"^https://"), lambda route: route.fulfill(body=""))
        context.on("page", watch.over)
        page = context.new_page()
        device = context.new_cdp_session(page)
        device.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto("/")
        return page, saying(language)

    yield arrive
    for context in contexts:
        context.close()


def letters(folder: Path, to: str) -> list[str]:
    """Return the texts of the mails to an address, in order."""
    files = sorted(folder.glob("*"), key=lambda file: file.stat().st_mtime)
    parts = [part for file in files for part in file.read_bytes().split(b"-" * 79 + b"\n")]
    mails: list[Any] = [message_from_bytes(part, policy=policy.default) for part in parts]
    return [mail.get_content() for mail in mails if mail["To"] == to]


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()


def enter(page: Page, say: Say, who: str, password: str) -> None:
    page.locator("[name=username]").fill(f"{who}@example.org")
    page.locator("[name=password]").fill(password)
    press(page, say("Sign in"))


def leave(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/sign-in")


def inside(page: Page) -> None:
    expect(page.get_by_role("searchbox")).to_be_visible()


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


@pytest.mark.parametrize(("language", "who"), [("en", "bob"), ("fr", "carol")])
def test_a_forgotten_password_is_chosen_anew(
    arrive: Any, house: SimpleNamespace, language: str, who: str
) -> None:
    page, say = arrive(language)
    follow(page, say("Forgotten your password?"))
    page.locator("[name=email]").fill(f"{who}@example.org")
    press(page, say("Send the link"))
    expect(page.get_by_role("heading", name=say("Look into your mail"))).to_be_visible()
    to = f"{who}@example.org"
    wait_until(lambda: bool(letters(house.mail, to)), "the mail")
    page.goto(link_in(letters(house.mail, to)[-1]))
    page.locator("[name=password1]").fill(NEW)
    page.locator("[name=password2]").fill(NEW)
    press(page, say("Change the password"))
    expect(page.get_by_role("heading", name=say("The password is changed"))).to_be_visible()
    page.goto("/sign-in")
    enter(page, say, who, PASSWORD)
    expect(page.locator("#sign-in-problem")).to_be_visible()
    enter(page, say, who, NEW)
    inside(page)


@pytest.mark.parametrize(
    ("language", "who"), [pytest.param("en", "alice", marks=pytest.mark.pages), ("fr", "mallory")]
)
def test_a_second_factor_and_a_passkey(arrive: Any, language: str, who: str) -> None:
    page, say = arrive(language)
    enter(page, say, who, PASSWORD)
    inside(page)

    page.goto("/account/factors")
    follow(page, say("Add an app"))
    page.locator("[name=password]").fill(PASSWORD)
    press(page, say("Confirm"))
    secret = page.locator("#totp-key").inner_text()
    used = code(secret)
    page.locator("[name=code]").fill(used)
    press(page, say("Add the app"))
    expect(page.locator(".codes")).to_be_visible()
    recovery = page.locator(".codes").inner_text().split()
    assert len(recovery) == 10

    page.goto("/account/factors")
    follow(page, say("Add a passkey"))
    page.locator("[name=name]").fill("Laptop")
    press(page, say("Add the passkey"))
    expect(page.get_by_text("Laptop")).to_be_visible()

    leave(page)
    press(page, say("Sign in with a passkey"))
    inside(page)

    leave(page)
    enter(page, say, who, PASSWORD)
    expect(page.get_by_role("heading", name=say("Second factor"))).to_be_visible()
    page.locator("[name=code]").fill("000000")
    press(page, say("Sign in"))
    expect(page.locator(".field-error").first).to_be_visible()
    page.locator("[name=code]").fill(recovery[0])
    press(page, say("Sign in"))
    inside(page)

    leave(page)
    enter(page, say, who, PASSWORD)
    press(page, say("Use a passkey"))
    inside(page)

    page.goto("/account/factors")
    follow(page, say("Remove %(name)s") % {"name": "Laptop"})
    page.locator("[name=password]").fill(PASSWORD)
    press(page, say("Confirm"))
    press(page, say("Remove the passkey"))
    expect(page.get_by_text("Laptop")).to_have_count(0)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_the_provider_lets_in_whom_it_knows(
    arrive: Any, house: SimpleNamespace, language: str
) -> None:
    know(house.issuer, "sam", email="sam@example.org", email_verified=True)
    page, say = arrive(language)
    press(page, say("Sign in with %(provider)s") % {"provider": "Example ID"})
    page.wait_for_url(re.compile(re.escape(house.issuer)))
    page.get_by_role("textbox").fill("sam")
    page.get_by_role("button").first.click()
    page.wait_for_url(re.compile(re.escape(house.url)))
    inside(page)


def enter_by_cloud(page: Page, say: Say, user: str, password: str = "demo") -> None:
    page.locator("[name=username]").fill(user)
    page.locator("[name=password]").fill(password)
    expect(page.locator("[name=domain]")).to_have_value("Default")
    press(page, say("Sign in"))


@pytest.mark.parametrize(
    ("language", "user"), [pytest.param("en", "alice", marks=pytest.mark.pages), ("fr", "rita")]
)
def test_the_clouds_own_password_joins_an_account_and_opens_it(
    arrive: Any, house: SimpleNamespace, language: str, user: str
) -> None:
    page, say = arrive(language)
    cloud = say("Sign in with %(provider)s") % {"provider": "My Cloud"}
    follow(page, cloud)
    expect(page.get_by_role("heading", name=cloud)).to_be_visible()
    enter_by_cloud(page, say, user, "wrong")
    expect(page.locator("#sign-in-problem")).to_be_visible()
    enter_by_cloud(page, say, user)
    to = "sam@example.org"
    page.locator("[name=email]").fill(to)
    before = len(letters(house.mail, to))
    press(page, say("Send the link"))
    expect(page.get_by_role("heading", name=say("Look into your mail"))).to_be_visible()
    wait_until(lambda: len(letters(house.mail, to)) > before, "the mail")
    page.goto(link_in(letters(house.mail, to)[-1]))
    enter(page, say, "sam", PASSWORD)  # the address has an account: only its owner goes on
    page.locator("[name=password]").fill(PASSWORD)
    press(page, say("Confirm"))
    expect(page.get_by_role("main").get_by_text(to)).to_be_visible()
    enter_by_cloud(page, say, user)
    page.wait_for_url("**/account")
    leave(page)
    follow(page, cloud)
    enter_by_cloud(page, say, user)
    inside(page)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_sessions_are_seen_and_ended(arrive: Any, language: str) -> None:
    one, say = arrive(language)
    other, _ = arrive(language)
    for page in (one, other):
        enter(page, say, "sam", PASSWORD)
        inside(page)
    one.goto("/account/sessions")
    expect(one.locator(".tag.ok")).to_have_text(say("this one"))
    press(one, say("End all others"))
    expect(one.get_by_text(say("You are signed out everywhere else."))).to_be_visible()
    other.goto("/account")
    expect(other.locator("[name=username]")).to_be_visible()
