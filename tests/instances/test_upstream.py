"""What keeping the mirror true costs a cloud, and how it fares when the cloud does badly."""

import random
import tracemalloc
from datetime import timedelta

import pytest

from instances import events, inventory, pace
from instances.cloud import Limited, listing, open_account
from instances.inventory import due, turn, whole
from instances.inventory.keep import keep
from instances.models import CloudMirror, Instance, Rescue
from instances.models.clock import now
from teams.models import CloudAccount
from tests.instances.cloudtools import DemoCloud
from tests.instances.test_inventory import mirror_of, shown
from tests.services import running_democloud


@pytest.fixture(autouse=True)
def nobody_watches(monkeypatch):
    monkeypatch.setattr(events, "watched_teams", lambda ids: set())


@pytest.fixture
def asked(demo, synced):
    """Tell what the cloud was asked since the last time; nothing moves in its account."""
    Rescue.objects.update(next_at=None)
    read = len(demo.requests())

    def since():
        nonlocal read
        new = demo.requests()[read:]
        read += len(new)
        return new

    return since


def follow(account):
    CloudMirror.objects.filter(account=account).update(next_at=now())
    return inventory.follow(account.pk)


def read_all(account):
    CloudMirror.objects.filter(account=account).update(full_next_at=None)
    return inventory.read_all(account.pk)


def paths(requests):
    return [one["path"].partition("?")[0].rpartition("/")[2] for one in requests]


# Calls, tokens, connections ---------------------------------------------------------------------


def test_as_many_calls_as_passes(demo, synced, asked):
    for _pass in range(10):
        follow(synced)
    told = asked()
    assert paths(told) == ["detail"] * 10
    assert all("changes-since=" in one["path"] for one in told)
    assert len({one["peer"] for one in told}) == 1  # one connection, held


def test_an_expired_token_costs_one_sign_in(demo, synced, asked):
    demo.knobs(token_expired=True)
    follow(synced)
    assert [(one["service"], one["status"]) for one in asked()] == [
        ("nova", 401), ("keystone", 201), ("nova", 200),
    ]  # fmt: skip
    assert mirror_of(synced).problem == ""
    follow(synced)
    assert paths(asked()) == ["detail"]


def test_an_idle_account_costs_two_calls_a_minute_at_most(demo, synced, asked, monkeypatch):
    """An hour of an account nobody looks at, by its own appointments."""
    start = clock = now()
    monkeypatch.setattr("instances.models.clock.now", lambda: clock)
    for module in (due, turn, whole, inventory.changes):
        monkeypatch.setattr(module, "clock_now", lambda: clock)
    while clock < start + timedelta(hours=1):
        clock += timedelta(seconds=2)
        for account_id in inventory.due_accounts():
            inventory.follow(account_id)
        for account_id in inventory.due_for_all():
            inventory.read_all(account_id)
    told = asked()
    full = [one for one in told if "detail" in one["path"] and "changes" not in one["path"]]
    assert 60 <= len(told) <= 120
    assert len(full) == 1


def test_a_thousand_accounts_do_not_march_in_step():
    at = [0.0] * 1000
    for _round in range(10):
        at = [then + pace.spread(60) for then in at]
    busiest = max(sum(start <= then < start + 1 for then in at) for start in range(480, 601))
    assert 48 * 10 <= min(at) <= max(at) <= 60 * 10
    assert busiest < 60


# A cloud that fails -----------------------------------------------------------------------------


def waits(account, times, call=follow):
    found = []
    for _time in range(times):
        call(account)
        found.append((mirror_of(account).next_at - now()).total_seconds())
    return found


@pytest.mark.parametrize("how", ["503", "drop"])
def test_failures_are_asked_about_ever_more_rarely(demo, synced, how):
    demo.knobs(nova_down=how)
    found = waits(synced, 7)
    for wait, bound in zip(found, (2, 4, 8, 16, 32, 64, 120), strict=True):
        assert bound * (1 - pace.SPREAD) - 2 < wait <= bound
    demo.calm()
    follow(synced)
    assert mirror_of(synced).failures == 0
    demo.knobs(nova_down=how)
    assert waits(synced, 1)[0] <= 2


def test_a_pause_that_is_asked_for_is_kept(demo, synced, asked):
    demo.knobs(nova_limit_seconds=200)
    assert 198 < waits(synced, 1)[0] <= 240
    assert mirror_of(synced).problem == "limited"
    assert len(asked()) == 1
    demo.calm()
    with pytest.raises(Limited) as caught:
        open_account(synced).look(Instance.objects.first().server_id)
    assert 190 < caught.value.retry_after <= 200
    follow(synced)
    read_all(synced)
    assert asked() == []


def test_back_off_is_bounded():
    assert pace.back_off(10**6) <= pace.LONGEST
    assert pace.back_off(1, retry_after=299) >= 299
    assert len({pace.back_off(3) for _ in range(20)}) > 10
    assert isinstance(pace._dice, random.SystemRandom)  # forked workers share a seed otherwise


# A list that is too long ------------------------------------------------------------------------


def limits(requests):
    return [int(one["path"].partition("limit=")[2].partition("&")[0]) for one in requests]


def test_a_page_that_is_too_much_is_asked_for_in_smaller_ones(many, big, size_of):
    big.knobs(longest_list=60)
    before = len(big.requests())
    inventory.sync(many.pk)
    told = [one for one in big.requests()[before:] if "/detail" in one["path"]]
    assert limits(told)[:3] == [200, 100, 50] and set(limits(told)[3:]) == {50}
    assert [one["status"] for one in told[:3]] == [500, 500, 200]
    assert shown(many).count() == 500 and mirror_of(many).problem == ""
    assert size_of(many) == 50


def test_the_size_that_works_is_remembered_and_a_larger_one_tried_later(many, big, size_of):
    big.knobs(longest_list=60)
    inventory.sync(many.pk)
    before = len(big.requests())
    follow(many)
    assert limits(big.requests()[before:]) == [50]
    big.knobs(longest_list=0)
    for size in (100, 200, 200):
        read_all(many)
        assert size_of(many) == size


def test_what_fails_at_every_size_is_an_outage(many, big, size_of):
    inventory.sync(many.pk)
    big.knobs(longest_list=5)
    before = len(big.requests())
    assert read_all(many) == []
    told = big.requests()[before:]
    assert limits(told) == [200, 100, 50, 25, 20] and {one["status"] for one in told} == {500}
    assert size_of(many) == 200 and shown(many).count() == 500
    big.knobs(longest_list=0, nova_down="503")
    before = len(big.requests())
    read_all(many)
    assert len(big.requests()) == before + 1  # nothing that a shorter list would help


@pytest.fixture
def size_of():
    return lambda account: mirror_of(account).page_size


@pytest.fixture(scope="module")
def big_url():
    with running_democloud("--instant", "--seed", "many:500") as url:
        yield url


@pytest.fixture
def big(big_url):
    cloud = DemoCloud(big_url)
    cloud.reset()
    cloud.calm()
    return cloud


@pytest.fixture
def many(teams, credential, fresh_connections, big):
    given = credential("acme")
    given["auth"]["auth_url"] = big.auth_url
    account = CloudAccount.objects.create(team=teams.acme, name="Many", region_name="Demo-GRA")
    account.keep_credential(given)
    inventory.due_accounts()
    return account


# Everything, slowly, beside what changes --------------------------------------------------------


def test_what_changes_is_followed_while_all_is_being_read(many, big, monkeypatch):
    monkeypatch.setattr(whole, "PAGE", 100)
    followed = []

    def keep_slowly(mirror, servers, *rest, **more):
        woken = keep(mirror, servers, *rest, **more)
        name = f"web-{8 * len(followed):05d}"
        big.outside(name, "lock")
        follow(many)
        followed.append(Instance.objects.get(name=name).locked)
        return woken

    monkeypatch.setattr(whole, "keep", keep_slowly)
    inventory.read_all(many.pk)
    assert followed == [True] * 6
    assert shown(many).count() == 500 and mirror_of(many).first_sync_done


def test_an_older_page_does_not_undo_what_was_heard(many, big, monkeypatch):
    inventory.read_all(many.pk)

    def too_late(mirror, servers, *rest, **more):
        big.outside(servers[0].server_id, "lock")
        follow(many)  # hears of it before the page that is older is written
        return keep(mirror, servers, *rest, **more)

    monkeypatch.setattr(whole, "keep", too_late)
    read_all(many)
    assert Instance.objects.filter(locked=True).count() == 3  # the first of each page


def test_what_came_while_all_was_read_is_not_missing(many, big, monkeypatch):
    inventory.read_all(many.pk)
    mirror = mirror_of(many)
    born = Instance.objects.first()
    born.pk, born.server_id, born.name = None, "just-born", "just-born"

    def meanwhile(*given, **more):
        if not Instance.objects.filter(name="just-born").exists():
            born.seen_at, born.listed_at = now(), None
            born.save(force_insert=True)
        return keep(*given, **more)

    monkeypatch.setattr(whole, "keep", meanwhile)
    read_all(many)
    assert Instance.objects.get(name="just-born").deleted_at is None
    read_all(many)
    assert Instance.objects.get(name="just-born").deleted_at  # this one did not show it
    assert mirror.pk and shown(many).count() == 500


def test_the_next_page_comes_while_this_one_is_written(many, big, monkeypatch):
    fetched = []
    page_of = listing._page

    def fetch(*given):
        page = page_of(*given)
        fetched.append(len(page.servers))
        return page

    ahead = []

    def keep_and_see(mirror, servers, *rest, **more):
        woken = keep(mirror, servers, *rest, **more)
        ahead.append(len(fetched) - len(ahead))
        return woken

    monkeypatch.setattr(listing, "_page", fetch)
    monkeypatch.setattr(whole, "keep", keep_and_see)
    inventory.read_all(many.pk)
    assert fetched == [200, 200, 100] and max(ahead) == 2  # never more than the next one


def test_reading_all_holds_two_pages_at_most(many, big, monkeypatch):
    monkeypatch.setattr(whole, "PAGE", 50)
    inventory.read_all(many.pk)
    peaks = []
    for count in (100, 500):
        monkeypatch.setattr(listing, "MOST_SERVERS", count)
        tracemalloc.start()
        read_all(many)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_page_costs_few_statements(many, big, django_assert_max_num_queries):
    inventory.read_all(many.pk)
    Instance.objects.update(name="old", status="OLD")
    page = next(open_account(many).server_pages())
    with django_assert_max_num_queries(14):  # SQLite takes 38 rows a statement
        keep(mirror_of(many), page.servers, now(), listed_at=now())
    assert shown(many).filter(status="ACTIVE").count() == 200


# Glance -----------------------------------------------------------------------------------------


def test_a_glance_that_is_away_does_not_slow_the_servers_down(demo, synced, asked):
    demo.knobs(glance_down="503")
    CloudMirror.objects.update(images_next_at=None)
    for _pass in range(3):
        follow(synced)
    mirror = mirror_of(synced)
    assert paths(asked()).count("images") == 1 and mirror.problem == "broken"
    assert mirror.failures == 0 and mirror.next_at - now() > timedelta(seconds=40)
    demo.calm()
    CloudMirror.objects.update(images_next_at=None)
    follow(synced)
    follow(synced)
    assert mirror_of(synced).problem == ""
