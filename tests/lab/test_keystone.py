"""Signing in with the real Keystone's own names and passwords."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core import mail
from django.core.cache import cache
from django.test import Client

from teams.models import CloudPerson, User
from tests.instances.test_keystone import asked, enter, inside, link

pytestmark = pytest.mark.lab


@pytest.fixture
def keystone(lab: Path, settings: Any, db: None) -> str:
    cache.clear()
    clouds = yaml.safe_load((lab / "clouds.yaml").read_text())["clouds"]
    url: str = clouds["alice"]["auth"]["auth_url"]
    settings.KEYSTONE_SIGN_IN = {"url": url, "name": "The lab", "domain": "Default"}
    settings.OPEN_SIGN_UP = True
    return url


def test_a_user_of_the_real_keystone_begins_and_comes_back(client: Client, keystone: str) -> None:
    page = enter(client, "alice", password="lab")
    assert b'value="alice@example.org"' in page.content  # as the real one tells it
    asked(client, "alice@example.org", "alice", password="lab")
    assert mail.outbox[-1].to == ["alice@example.org"]
    path = link()
    assert enter(Client(), "bob", path, password="lab").status_code == 410
    assert enter(client, "alice", path, password="lab").headers["Location"] == "/"
    assert inside(client)
    again = Client()
    assert enter(again, "alice", password="lab", next="/account").headers["Location"] == "/account"
    assert inside(again)
    row = CloudPerson.objects.get()
    assert (row.keystone, row.name, row.domain) == (keystone, "alice", "Default")
    assert row.person == User.objects.get()


@pytest.mark.parametrize(
    "wrong",
    [{"password": "x"}, {"domain": "Nowhere"}, {"username": "stranger"}, {"password": "é\0"}],
)
def test_the_real_keystone_says_no(client: Client, keystone: str, wrong: dict[str, str]) -> None:
    answer = enter(client, "alice", **({"password": "lab"} | wrong))
    assert answer.status_code == 422
    assert not inside(client)
