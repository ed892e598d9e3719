"""Owners connect their clouds: three ways in, what is refused, a new credential, the way out."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.browser import Desk
from tests.journeys.test_accessibility import fine

Visit = Callable[..., Desk]
SECRET = "application_credential_secret"


@pytest.fixture(scope="module")
def ways(demo: SimpleNamespace) -> dict[str, Any]:
    """Give the ways into the demo's cloud."""
    base = str(demo.cloud.http.base_url).removesuffix("/_demo/")
    return {"base": base, **json.loads((demo.folder / "credentials.json").read_text())}


@pytest.fixture
def team(visit: Visit) -> Iterator[Callable[..., "Office"]]:
    """Open mallory's team page: no other journey is about it."""

    def open_(language: str = "en", **options: Any) -> Office:
        desk = visit("mallory", language, **options)
        desk.page.goto("/teams")
        link = desk.page.get_by_role("link", name="Other Corp").last
        number = str(link.get_attribute("href")).split("/teams/")[1].split("/")[0]
        return Office(desk, f"/teams/{number}/clouds")

    yield open_


class Office:
    """The pages of a team's cloud accounts; names are given in English."""

    def __init__(self, desk: Desk, path: str) -> None:
        self.page, self.say, self.path = desk.page, desk.say, path

    def go(self, path: str = "") -> None:
        self.page.goto(self.path + path)

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(self.say(label), exact=True)

    def fill(self, **fields: str) -> None:
        for name, text in fields.items():
            self.page.locator(f"#id_{name}").fill(text)

    def choose(self, way: str) -> None:
        self.page.get_by_role("radio", name=self.say(way)).check()

    def press(self, label: str) -> None:
        self.page.get_by_role("main").get_by_role("button", name=self.say(label)).click()

    def link(self, label: str) -> None:
        self.page.get_by_role("main").get_by_role("link", name=self.say(label)).click()

    def reads(self, sentence: str, **parts: str) -> None:
        """Wait until the page says something."""
        words = self.say(sentence)
        told = words.format(**parts) if "{" in words else words % parts if parts else words
        expect(self.page.get_by_role("main")).to_contain_text(told)

    def open_account(self, name: str) -> None:
        self.go()
        self.page.get_by_role("main").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name)

    def disconnect(self, name: str) -> None:
        self.open_account(name)
        self.link("Disconnect…")
        self.fill(typed=name)
        self.press("Disconnect")
        self.reads("%(name)s is disconnected.", name=name)


def minted(ways: dict[str, Any], **wanted: Any) -> dict[str, str]:
    """Make another application credential of mallory's, as she would in her cloud."""
    keystone = f"{ways['base']}/identity/v3"
    user = {"name": "mallory", "password": "demo", "domain": {"id": "default"}}
    auth = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "othercorp", "domain": {"id": "default"}}},
    }
    answer = httpx.post(f"{keystone}/auth/tokens", json={"auth": auth})
    path = f"/users/{answer.json()['token']['user']['id']}/application_credentials"
    made = httpx.post(
        keystone + path,
        json={"application_credential": {"name": "journey", **wanted}},
        headers={"X-Auth-Token": answer.headers["X-Subject-Token"]},
    ).json()["application_credential"]
    return {
        "auth_url": keystone,
        "application_credential_id": made["id"],
        SECRET: made["secret"],
    }


def nothing_secret(page: Page, *secrets: str) -> None:
    shown = page.content() + page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.pages), "fr"])
def test_an_account_from_its_first_day_to_its_last(
    team: Callable[..., Office], ways: dict[str, Any], language: str
) -> None:
    office = team(language)
    page, name = office.page, f"Shop {language}"
    first, second = ways["othercorp"]["auth"], minted(ways)

    def fine_once(state: str) -> None:
        if language == "en":  # axe takes seconds, and words change little for it
            fine(page, state)

    office.go()
    office.link("Connect a cloud account")
    fine(page, f"connect a cloud, {language}")

    # A wrong secret is refused beside what was typed, and is not shown again.
    office.fill(name=name, region_name="Demo-SBG", **first | {SECRET: "not-the-secret"})
    office.press("Test and connect")
    office.reads(
        "The cloud does not accept it: the secret is wrong, or the credential has expired."
    )
    expect(office.page.locator("[role=alert]").first).to_be_focused()
    expect(page.locator(f"#id_{SECRET}")).to_have_value("")
    expect(page.locator("#id_application_credential_id")).to_have_value(
        first["application_credential_id"]
    )
    fine_once("a credential refused")
    nothing_secret(page, "not-the-secret")

    # So is an administrator's.
    office.fill(**ways["admin"]["auth"])
    office.press("Test and connect")
    office.reads("This is an administrator’s credential: it sees and controls everybody’s servers.")

    # A clouds.yaml with several clouds asks which.
    clouds = {one: {"auth": ways[one]["auth"], "auth_type": "v3applicationcredential"}
              for one in ("othercorp", "admin")}  # fmt: skip
    text = yaml.safe_dump({"clouds": clouds})
    office.choose("A clouds.yaml")
    expect(page.locator("#id_auth_url")).to_be_hidden()
    office.fill(clouds_yaml=text)
    office.press("Test and connect")
    office.reads("The text has these clouds: choose one, and give the text once more.")
    fine_once("one of several clouds")
    nothing_secret(page, first[SECRET])
    page.locator("#id_cloud").select_option("othercorp")
    office.fill(clouds_yaml=text)
    office.press("Test and connect")
    office.reads("%(name)s is connected.", name=name)
    office.reads("Signed in to the project {project}; its instances can be listed.",
                 project="othercorp")  # fmt: skip
    fine(page, f"a cloud account, {language}")

    # Test again; another project's credential is refused; the own one is taken.
    office.press("Test again")
    office.reads("The test went well.")
    office.link("Replace the credential")
    fine_once("replace a credential")
    office.fill(**ways["acme"]["auth"])
    office.press("Test and replace")
    office.reads("This credential is of another project ({project}), not of this account’s.",
                 project="acme")  # fmt: skip
    office.fill(**second)
    office.press("Test and replace")
    office.reads("The credential is replaced. Rescues under way go on with it.")
    nothing_secret(page, first[SECRET], second[SECRET])

    # Its name, typed, ends it.
    office.open_account(name)
    office.link("Disconnect…")
    office.fill(typed="something else")
    office.press("Disconnect")
    office.reads("This is not the account’s name.")
    fine_once("disconnect")
    office.disconnect(name)
    office.go()
    expect(page.get_by_role("main")).not_to_contain_text(name)
    fine_once("cloud accounts")


def test_openrc_asks_for_the_password_and_runs_nothing(
    team: Callable[..., Office], ways: dict[str, Any]
) -> None:
    office = team()
    lines = [
        f"export OS_AUTH_URL={ways['base']}/identity/v3",
        "export OS_PROJECT_NAME='othercorp'",
        'export OS_USERNAME="mallory"',
        'export OS_REGION_NAME="Demo-SBG"',
        "read -sr OS_PASSWORD_INPUT",
    ]
    office.go("/connect")
    office.choose("An openrc file")
    office.fill(name="By openrc", openrc="\n".join([*lines, "export OS_PASSWORD=$(id)"]))
    office.press("Test and connect")
    expect(office.page.get_by_role("main")).to_contain_text("Line 6 would run a command")
    office.fill(openrc="\n".join([*lines, "export OS_PASSWORD=$OS_PASSWORD_INPUT"]))
    office.press("Test and connect")
    office.reads("The password is missing in it: type it below.")
    office.page.locator("#id_openrc_file").set_input_files(
        {
            "name": "openrc.sh",
            "mimeType": "text/x-shellscript",
            "buffer": "\n".join([*lines, "export OS_PASSWORD=$OS_PASSWORD_INPUT"]).encode(),
        }
    )
    office.fill(openrc_secret="demo")
    office.press("Test and connect")
    office.reads("%(name)s is connected.", name="By openrc")
    office.reads("This is a person’s password, which opens more than this project.")
    office.disconnect("By openrc")


def test_without_javascript_on_a_phone(team: Callable[..., Office], ways: dict[str, Any]) -> None:
    office = team(java_script_enabled=False, viewport={"width": 390, "height": 844})
    office.go("/connect")
    auth = ways["othercorp"]["auth"]
    office.fill(name="Plain", region_name="Demo-SBG", **auth | {SECRET: "wrong"})
    office.press("Test and connect")
    office.reads(
        "The cloud does not accept it: the secret is wrong, or the credential has expired."
    )
    office.fill(**auth)
    office.press("Test and connect")
    office.reads("%(name)s is connected.", name="Plain")
    office.disconnect("Plain")
