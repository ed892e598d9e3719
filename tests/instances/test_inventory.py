"""The mirror against a cloud over HTTP: what it shows, how it follows, and what it costs."""

import json
import time
from datetime import timedelta

import pytest

from instances import driver, events, inventory, pace, sight
from instances.cloud import Broken, Cloud
from instances.cloud.facts import server_from
from instances.cloud.listing import Page
from instances.inventory import due, whole
from instances.inventory.keep import keep, mark_missing
from instances.lifecycle import State
from instances.models import CloudMirror, Image, Instance, Rescue
from instances.models.clock import now
from teams.models import CloudAccount
from tests.instances.conftest import drive
from tests.services import running_democloud, wait_until


def shown(account):
    return Instance.objects.filter(account=account, deleted_at=None)


def mirror_of(account):
    return CloudMirror.objects.get(account=account)


def sync_again(account, *, full=False):
    changes = {"full_next_at": None} if full else {}
    CloudMirror.objects.filter(account=account).update(next_at=now(), **changes)
    return inventory.sync(account.pk)


@pytest.fixture
def published(monkeypatch):
    """Collect what open pages are told."""
    told = []
    monkeypatch.setattr(events, "changed", lambda team, topics: told.append(sorted(topics)))
    return told


def test_the_first_pass_shows_the_project_and_no_other(demo, synced):
    names = set(shown(synced).values_list("name", flat=True))
    assert {"web-1", "db-archive", "<script>alert(1)</script>"} <= names
    assert not names & {"shop-1", "payroll", "web-eu-1"}  # another project, another region
    mirror = mirror_of(synced)
    assert mirror.first_sync_done and mirror.problem == "" and mirror.project_id
    assert mirror.synced_at and mirror.lease_until is None
    assert mirror.rescues_volume_backed


def test_what_a_row_shows(demo, synced, instance_named):
    web = instance_named("web-1")
    assert (web.status, web.vm_state, web.flavor_name, web.image_name) == (
        "ACTIVE", "active", "b2-7", "Debian 12",
    )  # fmt: skip
    assert web.flavor_ram == 7168 and web.flavor_disk == 50 and web.config_drive
    assert {address["kind"] for address in web.addresses} == {"fixed", "floating"}
    assert web.primary_address.startswith("127.77.1.")
    assert instance_named("db-archive").volume_backed
    assert instance_named("billing").locked
    assert instance_named("vpn").in_rescue_since
    assert instance_named("search-2").fault


def test_the_second_pass_asks_for_changes_only(demo, synced):
    before = len(demo.requests())
    sync_again(synced)
    asked = demo.requests()[before:]
    assert len(asked) == 1 and "changes-since=" in asked[0]["path"]


def test_a_change_is_followed(demo, synced, instance_named, published):
    web = instance_named("web-1")
    demo.outside("web-1", "lock")
    sync_again(synced)
    assert instance_named("web-1").locked
    assert [f"instance:{web.pk}"] in published


def test_nothing_new_tells_nothing(demo, synced, published):
    sync_again(synced, full=True)
    published.clear()
    sync_again(synced, full=True)
    assert published == []


@pytest.mark.parametrize("full", [True, False])
def test_a_deleted_server_goes(demo, synced, instance_named, published, full):
    web = instance_named("web-1")
    demo.outside("web-1", "delete")
    sync_again(synced, full=full)
    web.refresh_from_db()
    assert web.deleted_at
    assert any("list" in topics for topics in published)


def test_a_server_deleted_in_rescue_ends_its_rescue(demo, start, synced):
    row = drive(start())
    demo.outside("web-1", "delete")
    assert row.pk in sync_again(synced)
    assert drive(row).state == State.GONE


def test_a_rename_is_followed_and_found(demo, synced, instance_named):
    web = instance_named("web-1")
    renamed = server_from(_raw(web, name="new-name\x00"))
    keep(mirror_of(synced), [renamed], now())
    web.refresh_from_db()
    assert web.name == "new-name"
    assert Instance.objects.matching("NEW-NAME").get() == web


def _raw(row, **changes):
    return {
        "id": row.server_id, "name": row.name, "status": row.status,
        "OS-EXT-STS:vm_state": row.vm_state, "image": {"id": row.image_id},
        "flavor": {"original_name": row.flavor_name},
    } | changes  # fmt: skip


def test_a_server_whose_cell_is_down_keeps_what_was_known(demo, synced, instance_named):
    web = instance_named("web-1")
    bare = server_from({"id": web.server_id, "status": "UNKNOWN"})
    stranger = server_from({"id": "never-seen", "status": "UNKNOWN"})
    began = now()
    keep(mirror_of(synced), [bare, stranger], began, listed_at=began)
    mark_missing(mirror_of(synced), began, now())
    assert instance_named("web-1").status == "ACTIVE"
    assert not Instance.objects.filter(server_id="never-seen").exists()


def test_an_older_listing_does_not_undo_what_a_look_showed(demo, synced, instance_named):
    """A listing takes seconds; meanwhile the driver may have seen the exit done."""
    web = instance_named("web-1")
    listed = server_from(_raw(web, status="RESCUE", **{"OS-EXT-STS:vm_state": "rescued"}))
    began = now()
    sight.mirror(web, server_from(_raw(web)), now())
    keep(mirror_of(synced), [listed], began)
    assert instance_named("web-1").vm_state == "active"
    assert driver.adopt(synced.pk) == []


def test_an_outage_is_shown_and_passes(demo, synced, published):
    seen_before = mirror_of(synced).synced_at
    demo.knobs(nova_down="503")
    sync_again(synced)
    mirror = mirror_of(synced)
    assert mirror.problem == "broken" and mirror.problem_since and mirror.problem_sentence
    assert mirror.synced_at == seen_before and mirror.lease_until is None
    assert [f"account:{synced.pk}", "list"] in published
    assert timedelta() < mirror.next_at - now() <= timedelta(seconds=pace.FIRST)
    demo.calm()
    sync_again(synced)
    mirror = mirror_of(synced)
    assert mirror.problem == "" and mirror.problem_since is None


def test_glance_down_does_not_stop_the_servers(demo, synced, instance_named):
    demo.knobs(glance_down="503")
    demo.outside("web-1", "lock")
    CloudMirror.objects.update(images_next_at=None)
    sync_again(synced)
    assert instance_named("web-1").locked
    assert mirror_of(synced).problem == "broken"
    assert Image.objects.filter(account=synced).exists()


def test_refused_credentials_are_a_problem_of_their_own(demo, synced, credential):
    bad = credential("acme")
    bad["auth"]["application_credential_secret"] = "no"
    synced.keep_credential(bad)
    sync_again(synced)
    assert mirror_of(synced).problem == "credentials"


def test_the_first_pass_of_an_empty_project_is_told(
    teams, credential, fresh_connections, published
):
    with running_democloud("--instant", "--seed", "empty") as url:
        given = credential("acme")
        given["auth"]["auth_url"] = url
        account = CloudAccount.objects.create(team=teams.acme, name="Empty", region_name="Demo-GRA")
        account.keep_credential(given)
        inventory.due_accounts()
        inventory.sync(account.pk)
        assert mirror_of(account).first_sync_done
        assert any("list" in topics for topics in published)


def test_two_synchronisers_do_not_meet(demo, synced):
    CloudMirror.objects.update(lease_until=now() + timedelta(seconds=60))
    before = len(demo.requests())
    assert inventory.sync(synced.pk) == []
    assert len(demo.requests()) == before
    CloudMirror.objects.update(lease_until=now() - timedelta(seconds=1))
    inventory.sync(synced.pk)
    assert len(demo.requests()) > before


def test_the_pace_follows_who_watches_and_what_moves(demo, synced, start, monkeypatch):
    watched: set[int] = set()
    monkeypatch.setattr(events, "watched_teams", lambda ids: watched & set(ids))
    Rescue.objects.all().delete()

    def pace():
        sync_again(synced)
        return mirror_of(synced).next_at - now()

    assert pace() > timedelta(seconds=45)
    watched.add(synced.team_id)
    assert pace() <= due.WATCHED_PACE
    watched.clear()
    start()
    assert pace() <= due.WATCHED_PACE


def test_who_opens_a_page_wakes_a_quiet_account(demo, synced, monkeypatch):
    CloudMirror.objects.update(
        next_at=now() + timedelta(seconds=50), synced_at=now() - timedelta(seconds=9)
    )
    monkeypatch.setattr(events, "watched_teams", lambda ids: set())
    assert inventory.due_accounts() == []
    monkeypatch.setattr(events, "watched_teams", set)
    assert inventory.due_accounts() == [synced.pk]


def test_watching_is_read_from_redis(synced, redis_server, settings):
    import redis

    settings.REDIS_URL = redis_server.url
    events.connection.cache_clear()
    link = redis.Redis.from_url(redis_server.url)
    link.flushdb()
    assert events.watched_teams([synced.team_id]) == set()
    link.set(events.WATCHED.format(team=synced.team_id), "1", ex=5)
    assert events.watched_teams([synced.team_id, 999_999]) == {synced.team_id}
    link.delete(events.WATCHED.format(team=synced.team_id))


def test_images_are_replaced(demo, synced):
    kept = Image.objects.filter(account=synced).first()
    Image.objects.create(account=synced, image_id="gone", status="active", visibility="public")
    Image.objects.filter(pk=kept.pk).update(name="old name")
    CloudMirror.objects.update(images_next_at=None)
    sync_again(synced)
    assert not Image.objects.filter(image_id="gone").exists()
    kept.refresh_from_db()
    assert kept.name != "old name"


def test_a_rescue_outside_is_adopted_once(demo, synced, instance_named):
    vpn = instance_named("vpn")
    row = Rescue.objects.get(instance=vpn)
    assert row.state == State.EXTERNAL and row.is_external
    assert row.created_at == row.ready_at == vpn.in_rescue_since
    sync_again(synced, full=True)
    assert Rescue.objects.filter(instance=vpn).count() == 1


def test_a_quiet_rescue_is_woken_when_its_server_changes(demo, start, synced):
    row = drive(start())
    assert row.next_at is None
    demo.outside("web-1", "unrescue")
    wait_until(lambda: demo.server("web-1")["vm_state"] == "active", "exit", 5)
    assert row.pk in sync_again(synced)
    assert drive(row).state == State.ENDED_OUTSIDE


@pytest.fixture
def many(teams, credential, fresh_connections):
    with running_democloud("--instant", "--seed", "many:500") as url:
        given = credential("acme")
        given["auth"]["auth_url"] = url
        account = CloudAccount.objects.create(team=teams.acme, name="Many", region_name="Demo-GRA")
        account.keep_credential(given)
        inventory.due_accounts()
        yield account


def test_five_hundred_servers_come_in_pages(many, django_assert_max_num_queries, monkeypatch):
    with django_assert_max_num_queries(60):
        inventory.sync(many.pk)
    assert shown(many).count() == 500
    with django_assert_max_num_queries(60):
        sync_again(many, full=True)
    # A cloud may cap its pages below what we ask for.
    monkeypatch.setattr("instances.inventory.whole.PAGE", 100)
    sync_again(many, full=True)
    assert shown(many).count() == 500


def test_a_listing_that_breaks_off_deletes_nothing(demo, synced, monkeypatch):
    count = shown(synced).count()

    def breaks_off(self, **_asked):
        one = server_from(_raw(Instance.objects.first()))
        yield Page([one], more=True, size=1, asked=time.monotonic())
        raise Broken("cut")

    monkeypatch.setattr(Cloud, "server_pages", breaks_off)
    sync_again(synced, full=True)
    assert shown(synced).count() == count


HOSTILE = ["\x00null", "\ud800lone", "x" * 5000, "<img src=x onerror=alert(1)>", "\u202ebidi", "🛒"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_texts_are_stored_as_text(demo, synced, instance_named, text):
    web = instance_named("web-1")
    raw = _raw(web, name=text, key_name=text, fault={"message": text},
               flavor={"original_name": text, "ram": 10**30, "disk": -5},
               addresses={text: [{"addr": text, "version": 4}]},
               **{"OS-EXT-STS:task_state": text})  # fmt: skip
    keep(mirror_of(synced), [server_from(raw)], now())
    web.refresh_from_db()
    assert "\x00" not in json.dumps(web.addresses) + web.name + web.key_name + web.fault
    assert len(web.name) <= 255 and len(web.key_name) <= 255


def test_a_long_listing_keeps_its_lease(many, monkeypatch):
    monkeypatch.setattr(whole, "PAGE", 100)
    left = []

    def see_lease(mirror, *rest, **more):
        left.append(mirror_of(many).full_lease_until)
        return keep(mirror, *rest, **more)

    monkeypatch.setattr(whole, "keep", see_lease)
    inventory.sync(many.pk)
    assert len(left) == 6 and left == sorted(set(left))


def test_who_lost_the_lease_writes_no_more(many, monkeypatch):
    def lose_it(mirror, *rest, **more):
        CloudMirror.objects.update(full_lease_until=now() + timedelta(seconds=99))
        return keep(mirror, *rest, **more)

    monkeypatch.setattr(whole, "keep", lose_it)
    assert inventory.read_all(many.pk) == []
    mirror = mirror_of(many)
    assert not mirror.first_sync_done and mirror.full_lease_until > now()
    assert shown(many).count() == 200  # the page it had in hand
