"""Every address x method x person answers what tests/access_table.py says; none is forgotten."""

import copy
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from instances.models import Batch, Dismissal, Grant, Job
from rescuepanel import health, urls
from teams import acting, gates, invitations, outbox, webhooks
from teams.models import CloudPerson, Delivery, Impersonation, SSHKey, User
from teams.permissions import Role
from tests import access_table
from tests.access_table import METHODS, PEOPLE, Row
from tests.instances import rows as make

ROWS = list(access_table.rows())
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
# A section of the table at a time: its addresses share one world.
each_section = pytest.mark.parametrize("section", sorted({row.section for row in ROWS}))


def addresses_of(section: str) -> Iterator[list[Row]]:
    """Give the rows of each address of a section."""
    for address in sorted({row.address for row in ROWS if row.section == section}):
        yield [row for row in ROWS if row.address == address]


def addresses(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Walk the urlconf, through every include and namespace."""
    for pattern in (resolver or get_resolver()).url_patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield address
        else:
            yield from addresses(pattern, address)


def test_every_address_is_in_the_table() -> None:
    missing = sorted(set(addresses()) - {row.address for row in ROWS})
    assert not missing, (
        f"Nobody has said who may use these: {missing}. "
        "Put a row for each into tests/access_table.py, then run python -m tests.access_table."
    )


def test_the_table_names_no_address_that_is_gone() -> None:
    gone = sorted({row.address for row in ROWS} - set(addresses()))
    assert not gone, f"These are no longer in the urlconf; take them out of the table: {gone}"


def test_the_docs_hold_the_same_table() -> None:
    text = access_table.DOCS.read_text(encoding="utf-8")
    table = text.partition(access_table.BEGIN)[2].partition(access_table.END)[0].strip()
    assert table == access_table.markdown(), "Run python -m tests.access_table."


# The world --------------------------------------------------------------------------------------


@pytest.fixture
def world(
    teams: SimpleNamespace,
    alice: User,
    bob: User,
    carol: User,
    mallory: User,
    sam: User,
) -> Iterator[SimpleNamespace]:
    """Give one thing of each kind, all of them Acme Web's, and everybody's way in."""
    cache.clear()
    health.mark_worker_alive()
    people = {"alice": alice, "bob": bob, "carol": carol, "mallory": mallory, "sam": sam}
    account = make.account(teams.acme)
    make.images(account)
    instance = make.rescued(account)
    UserSession.objects.create(user=alice, ip="192.0.2.1", session_key="alice-elsewhere")
    hook, _secret = webhooks.add(teams.acme, url="https://hooks.example.org", events=[], by=alice)
    rescue = make.rescue(instance, "READY", bob)
    batch = Batch.objects.create(
        team=teams.acme, kind="start", state="stopped", asked_by=alice,
        created_at=timezone.now(), begun_at=timezone.now(), ended_at=timezone.now(),
    )  # fmt: skip
    batch.items.create(instance=instance, account=account, position=1, state="done", rescue=rescue)
    batch.put_away_by.set(people.values())
    for person in people.values():  # each page draws the notifications: without any it is quicker
        Dismissal.objects.create(rescue=rescue, user=person)
    logging.disable(logging.CRITICAL)  # hundreds of refusals, each with its trace
    yield SimpleNamespace(
        **people,
        team=teams.acme,
        other_team=teams.other,
        account=account,
        instance=instance,
        rescue=rescue,
        batch=batch,
        grant=Grant.objects.create(
            rescue=rescue, staff=sam, asked_at=timezone.now() + timedelta(minutes=1)
        ),
        repair="ssh_key",
        job=Job.objects.create(
            rescue=rescue,
            kind="ssh_key",
            state=Job.State.UNDONE,
            created_at=timezone.now(),
            asked_at=timezone.now(),
        ),
        session=UserSession.objects.get(),
        joined=CloudPerson.objects.create(
            person=alice, keystone="https://k", user_id="u", name="a"
        ),
        member=teams.acme.memberships.get(user=carol),
        **_invited_and_keyed(teams.acme, alice),
        hook=hook,
        message=_sent(hook),
        access=Impersonation.objects.create(
            staff=people["sam"],
            customer=people["alice"],
            reason="Ticket 2",
            started_at=timezone.now() - timedelta(hours=1),
            until=timezone.now() - timedelta(minutes=30),
        ),
        cookies={name: _cookies(name, people) for name in PEOPLE},
    )
    logging.disable(logging.NOTSET)
    cache.clear()


def _invited_and_keyed(team: Any, alice: User) -> dict[str, Any]:
    """Give an invitation and its link's secret, a team's key, and one of alice's own."""
    sent = invitations.invite(
        team=team, email="dora@example.org", role=Role.READER, by=alice, link=str
    )
    kept = {"key_type": "ssh-ed25519", "public_key": "ssh-ed25519 AAAA"}
    return {
        "invitation": sent.invitation,
        "token": sent.link,
        "key": SSHKey.objects.create(team=team, name="bastion", fingerprint="SHA256:a", **kept),
        "own_key": SSHKey.objects.create(user=alice, name="own", fingerprint="SHA256:b", **kept),
    }


def _sent(hook: Any) -> Any:
    """Give a message of a webhook's log."""
    message = outbox.try_out(hook)
    Delivery.objects.update(next_at=None)
    return message


def _cookies(name: str, people: dict[str, Any]) -> Any:
    """Sign somebody in; staff begin to act for a customer as the portal does."""
    client = Client()
    person = name.partition(" ")[0]
    if person != "anonymous":
        client.force_login(people[person])
    if customer := name.partition(" for ")[2]:
        session = client.session
        session[acting.KEY] = Impersonation.objects.create(
            staff=people["sam"],
            customer=people[customer],
            reason="Ticket 1",
            started_at=timezone.now(),
            until=timezone.now() + timedelta(minutes=20),
        ).pk
        session.save()
    return client.cookies


def visitor(name: str, world: Any, **more: Any) -> Client:
    """Give somebody's browser, signed in."""
    client = Client(**more)
    client.cookies = copy.deepcopy(world.cookies[name])
    return client


def path_of(row: Row, objects: list[Any]) -> str:
    """Write an address with these objects' keys in it."""
    keys = [str(getattr(thing, "pk", thing)) for thing in objects]
    holes = re.findall(r"<[^>]+>", row.address)
    assert len(holes) == len(keys), f"The row of {row.address} has to name {len(holes)} objects."
    path = row.address
    for hole, key in zip(holes, keys, strict=True):
        path = path.replace(hole, key, 1)
    return f"/{path}"


def things(row: Row, world: Any) -> list[Any]:
    """Find a row's objects in the world; another word is a key as it stands."""
    return [getattr(world, name, name) for name in row.objects]


@contextmanager
def undone() -> Iterator[None]:
    """Take back what is written meanwhile."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# What happens -----------------------------------------------------------------------------------


def outcome(answer: Any) -> str:
    """Say in the table's words how somebody fared."""
    where = answer.headers.get("Location", "")
    if answer.status_code in (301, 302) and "next=" in where:
        doors = {reverse("teams:sign_in"), "/admin/login/"}
        if where.partition("?")[0] in doors:
            return "in"
    if answer.status_code in (401, 403, 404, 405):
        return str(answer.status_code)
    assert answer.status_code < 500, content(answer)
    return "+"


def content(answer: Any) -> bytes:
    """Read an answer to its end, a streamed one too."""
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def refused(answer: Any) -> bool:
    """Tell whether a method that the table does not name was kept out."""
    if answer.wsgi_request.method == "OPTIONS" and answer.status_code == 200:
        return not content(answer)  # only tells which methods there are
    return outcome(answer) != "+"


@pytest.fixture
def plain_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer thousands of refusals without drawing a page for each."""
    for status in (403, 404):
        monkeypatch.setattr(urls, f"handler{status}", _plain(status), raising=False)
    # The gate draws nothing but what a wrong method gets.
    monkeypatch.setattr(gates, "render", lambda request, template, status: _plain(status)(request))


def _plain(status: int) -> Any:
    return lambda request, exception=None: HttpResponse(status=status)


@pytest.mark.long
@pytest.mark.timeout(400)
@each_section
def test_each_person_fares_as_the_table_says(
    section: str, world: Any, plain_refusals: None
) -> None:
    wrong: list[str] = []
    for mine in addresses_of(section):
        for name in PEOPLE:
            client = visitor(name, world)
            for row in mine:
                wrong += _named(client, path_of(row, things(row, world)), row, name)
            wrong += _unnamed(client, path_of(mine[0], things(mine[0], world)), mine, name)
    assert not wrong, "\n".join(wrong)


def _unnamed(client: Client, path: str, mine: list[Row], name: str) -> Iterator[str]:
    """Try the methods that no row of an address names; yield what was not refused."""
    for method in sorted(set(METHODS).difference(*(row.methods for row in mine))):
        with undone():
            answer = client.generic(method, path)
        if not refused(answer):
            yield f"{method} {path} as {name}: {answer.status_code}, not refused"


def _named(client: Client, path: str, row: Row, name: str) -> Iterator[str]:
    """Try the methods that a row names; yield what is not as it says."""
    expected = row.who[name]
    for method in sorted(row.methods):
        with undone():
            answer = client.generic(method, path)
        if (got := outcome(answer)) != expected:
            yield f"{method} {path} as {name}: {got}, not {expected}"
        # staff who act for somebody see no password, whatever gets through
        hidden = expected != "+" or name.startswith("sam")
        if hidden and make.PASSWORD.encode() in content(answer):
            yield f"{method} {path} as {name} shows the password"


@each_section
def test_neither_other_teams_nor_requests_without_a_token_get_at_it(
    section: str, world: Any
) -> None:
    for row in (row for mine in addresses_of(section) for row in mine):
        _through_ones_own_team(row, world)
        path = path_of(row, things(row, world))
        for name in (name for name in PEOPLE if row.who[name] == "+"):
            client = visitor(name, world, enforce_csrf_checks=True)
            for method in sorted(row.methods & set(UNSAFE)):
                with undone():
                    answer = client.generic(method, path)
                assert answer.status_code == 403, f"{method} {path} as {name}: no token asked for"


def _through_ones_own_team(row: Row, world: Any) -> None:
    """Let Mallory name her own team and then something of Acme Web's."""
    if len(row.objects) < 2 or row.objects[0] != "team":
        return
    path = path_of(row, [world.other_team, *things(row, world)[1:]])
    client = visitor("mallory", world)
    for method in row.methods:
        with undone():
            assert client.generic(method, path).status_code == 404, f"{method} {path}"
