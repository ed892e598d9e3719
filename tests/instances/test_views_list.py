"""The list: what it shows, to whom, and how it is asked for."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from teams.models import Membership
from tests.instances import rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def seen(client: Client, teams: SimpleNamespace, alice: Any) -> Client:
    client.force_login(alice)
    return client


def test_it_asks_strangers_to_sign_in(client: Client, db: None) -> None:
    answer = client.get("/?status=rescue")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/sign-in?next=/%3Fstatus%3Drescue"


def test_it_shows_name_status_address_image_flavor_and_place(
    seen: Client, teams: SimpleNamespace
) -> None:
    rows.instance(rows.account(teams.acme))
    page = seen.get("/").content.decode()
    for word in ("web-1", "Running", "203.0.113.7", "Debian 12", "b3-8", "GRA11", "cloud"):
        assert word in page
    assert 'aria-label="Instances"' in page
    assert 'aria-label="Actions for web-1"' in page


def test_it_answers_a_fragment_to_htmx_and_a_page_to_going_back(
    seen: Client, teams: SimpleNamespace
) -> None:
    rows.instance(rows.account(teams.acme))
    fragment = seen.get("/", headers=HTMX)
    assert fragment.content.decode().strip().startswith('<div id="instances"')
    assert "<html" not in fragment.content.decode()
    assert "HX-Request" in fragment.headers["Vary"]
    back = seen.get("/", headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert "<html" in back.content.decode()


def test_it_hides_other_teams_instances(
    client: Client, teams: SimpleNamespace, mallory: Any
) -> None:
    rows.instance(rows.account(teams.acme))
    client.force_login(mallory)
    assert "web-1" not in client.get("/").content.decode()


def test_it_is_kept_out_of_caches(seen: Client) -> None:
    assert "no-store" in seen.get("/").headers["Cache-Control"]


def test_it_searches_filters_and_counts(seen: Client, teams: SimpleNamespace) -> None:
    account = rows.account(teams.acme)
    rows.instance(account, "web-1")
    rows.instance(account, "db-1", task_state="rescuing")
    rows.rescued(account, "mail")
    found = seen.get("/?q=DB-").context["view"]
    assert [row.instance.name for row in found.rows] == ["db-1"]
    in_rescue = seen.get("/?status=rescue").context["view"]
    assert [row.instance.name for row in in_rescue.rows] == ["db-1", "mail"]
    counts = {shown.key: shown.count for shown in in_rescue.filters}
    assert counts == {"": 3, "rescue": 2, "running": 1}


def test_it_sorts_and_says_so(seen: Client, teams: SimpleNamespace) -> None:
    account = rows.account(teams.acme)
    for name in ("b", "A", "c"):
        rows.instance(account, name)
    page = seen.get("/?sort=-name")
    assert [row.instance.name for row in page.context["view"].rows] == ["c", "b", "A"]
    assert 'aria-sort="descending"' in page.content.decode()


def test_it_pages_and_keeps_the_view(seen: Client, teams: SimpleNamespace) -> None:
    account = rows.account(teams.acme)
    for number in range(51):
        rows.instance(account, f"web-{number:02}")
    first = seen.get("/?q=web").context["view"]
    assert first.next_url == "/?q=web&page=2"
    second = seen.get(first.next_url).context["view"]
    assert [row.instance.name for row in second.rows] == ["web-50"]


@pytest.mark.parametrize(
    "query",
    ["page=x", "page=-1", "page=99", "sort=evil", "status=evil", "q=%00", "q=" + "x" * 3000],
)
def test_it_survives_any_query(seen: Client, teams: SimpleNamespace, query: str) -> None:
    rows.instance(rows.account(teams.acme))
    assert seen.get(f"/?{query}").status_code == 200


def test_it_asks_the_database_no_more_for_more_rows(
    seen: Client, teams: SimpleNamespace, django_assert_max_num_queries: Any
) -> None:
    account = rows.account(teams.acme)
    for number in range(40):
        rows.instance(account, f"web-{number}")
    with django_assert_max_num_queries(20):
        seen.get("/")


def test_it_escapes_what_owners_call_their_machines(seen: Client, teams: SimpleNamespace) -> None:
    rows.instance(rows.account(teams.acme), '"><script>alert(1)</script>', image_name="<img src=x>")
    page = seen.get("/").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


@pytest.mark.parametrize(
    ("mirror", "sentence"),
    [
        ({"full_at": None, "synced_at": None}, "Reading your cloud"),
        ({}, "No instance here"),
        ({"problem": "silent"}, "The cloud does not answer"),
    ],
)
def test_it_says_why_it_is_empty(
    seen: Client, teams: SimpleNamespace, mirror: dict[str, Any], sentence: str
) -> None:
    rows.account(teams.acme, **mirror)
    assert sentence in seen.get("/").content.decode()


def test_it_says_that_no_account_is_connected(seen: Client) -> None:
    assert "No cloud account is connected yet" in seen.get("/").content.decode()


def test_it_offers_to_clear_a_search_without_a_match(seen: Client, teams: SimpleNamespace) -> None:
    rows.instance(rows.account(teams.acme))
    page = seen.get("/?q=nothing").content.decode()
    assert "No instance matches" in page
    assert "Clear the search" in page


def test_it_says_how_old_the_list_is_and_keeps_the_last_known_state(
    seen: Client, teams: SimpleNamespace
) -> None:
    long_ago = timezone.now() - timedelta(minutes=7)
    rows.instance(rows.account(teams.acme, problem="silent", synced_at=long_ago))
    page = seen.get("/").content.decode()
    assert "web-1" in page
    assert "7\N{NO-BREAK SPACE}min" in page


def test_a_row_is_a_fragment_with_its_menu(seen: Client, teams: SimpleNamespace) -> None:
    instance = rows.instance(rows.account(teams.acme), locked=True)
    row = seen.get(f"/instances/{instance.pk}/row", headers=HTMX).content.decode()
    assert f'id="instance-{instance.pk}"' in row
    assert "<html" not in row
    assert 'aria-disabled="true"' in row
    assert "locked" in row
    assert seen.get(f"/instances/{instance.pk}/row").status_code == 302


def test_a_reader_sees_the_menu_and_why_it_is_closed(
    client: Client, teams: SimpleNamespace, carol: Any
) -> None:
    rows.instance(rows.account(teams.acme))
    client.force_login(carol)
    page = client.get("/").content.decode()
    assert "Your role may only look." in page
    assert "/rescue" not in page


def test_another_teams_row_does_not_exist(
    client: Client, teams: SimpleNamespace, mallory: Any
) -> None:
    instance = rows.instance(rows.account(teams.acme))
    client.force_login(mallory)
    for pk in (instance.pk, instance.pk + 1, 10**30):
        answer = client.get(f"/instances/{pk}/row", headers=HTMX)
        assert answer.status_code == 404


def test_french_is_spoken(seen: Client, teams: SimpleNamespace) -> None:
    rows.instance(rows.account(teams.acme))
    page = seen.get("/", headers={"Accept-Language": "fr"}).content.decode()
    assert 'lang="fr"' in page
    assert "Actions pour web-1" in page
    assert "Démarrer en mode rescue" in page


@pytest.mark.parametrize("template", ["400", "403", "403_csrf", "404", "405", "500"])
def test_error_pages_need_nothing_of_the_request(template: str) -> None:
    page = render_to_string(f"{template}.html")
    assert "<html" in page
    assert "</h1>" in page


def test_somebody_without_a_team_is_told_what_to_do(client: Client, sam: Any) -> None:
    client.force_login(sam)
    assert "You are in no team yet" in client.get("/").content.decode()


def test_among_all_teams_each_row_says_whose_it_is(
    seen: Client, teams: SimpleNamespace, alice: Any
) -> None:
    mine = rows.instance(rows.account(teams.acme, "prod"))
    name = f'<bdi title="{teams.acme.name}">'
    assert name not in seen.get("/").content.decode(), "with one team there is nothing to tell"
    Membership.objects.create(team=teams.other, user=alice, role="reader")
    everything = seen.get("/").content.decode()
    assert everything.count(name) == 1
    again = re.search(r'hx-get="(/instances/\d+/row[^"]*)"', everything)
    assert again
    assert name in seen.get(again[1], headers=HTMX).content.decode()
    one = seen.get(f"/?team={teams.acme.pk}").content.decode()
    assert name not in one
    assert f'hx-get="/instances/{mine.pk}/row?pick=1"' in one
