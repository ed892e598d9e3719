"""Many rescues at once: one listing tells of all, and decides nothing."""

import time
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from instances import driver, events, inventory, rescue, sight, tasks
from instances.cloud import CloudError
from instances.inventory import changes
from instances.lifecycle import State
from instances.models import CloudMirror, Instance, Rescue
from instances.models.clock import now
from instances.models.rescue import CROWD
from instances.recovery import access
from teams.models import CloudAccount
from tests.instances.cloudtools import DemoCloud
from tests.services import running_democloud, wait_until

S = State


@pytest.fixture(autouse=True)
def nobody_watches(monkeypatch):
    monkeypatch.setattr(events, "watched_teams", lambda ids: set())


@pytest.fixture(scope="module")
def host_url():
    with running_democloud("--seed", "many:12") as url:
        yield url


@pytest.fixture
def host(host_url):
    """Give a cloud whose host keeps at it until it is told otherwise."""
    cloud = DemoCloud(host_url)
    cloud.reset()
    cloud.calm()
    cloud.knobs(servers={"*": {"host_silent": True}})
    return cloud


@pytest.fixture
def account(teams, credential, fresh_connections, host):
    given = credential("acme")
    given["auth"]["auth_url"] = host.auth_url
    account = CloudAccount.objects.create(team=teams.acme, name="Many", region_name="Demo-GRA")
    account.keep_credential(given)
    inventory.due_accounts()
    inventory.sync(account.pk)
    return account


@pytest.fixture
def at_work(account, alice):
    """Ask for as many rescues, and let Nova accept them."""

    def begin(count=CROWD):
        rows = []
        for instance in Instance.objects.order_by("name")[:count]:
            ref = rescue.picker_for(instance).preselected.ref
            row = rescue.start(
                instance=instance, image_ref=ref, by=alice, idempotency_key=uuid.uuid4()
            )
            driver.step(row.pk)
            rows.append(Rescue.objects.get(pk=row.pk))
        assert {row.state for row in rows} == {S.WAITING}
        return rows

    return begin


def follow(account):
    CloudMirror.objects.filter(account=account).update(next_at=now())
    return inventory.follow(account.pk)


def step(row, **changes):
    """Step a rescue now; return its wait."""
    Rescue.objects.filter(pk=row.pk).update(next_at=now(), **changes)
    return driver.step(row.pk)


def all_are(cloud, rows, state):
    """Wait until the cloud has done what these rescues asked for."""
    names = [row.instance.name for row in rows]
    wait_until(lambda: {cloud.server(one)["vm_state"] for one in names} == {state}, state, 5)


class Count:
    def __init__(self, cloud):
        self.cloud, self.read = cloud, len(cloud.requests())

    def __call__(self):
        new = self.cloud.requests()[self.read :]
        self.read += len(new)
        return len(new)


def test_a_crowd_is_told_by_one_listing(account, host, at_work):
    rows = at_work(12)
    follow(account)
    asked = Count(host)
    for _second in range(5):
        follow(account)
        for row in rows:
            assert step(row) > 10
    assert asked() == 5
    assert {Rescue.objects.get(pk=row.pk).state for row in rows} == {S.WAITING}


def test_a_few_look_for_themselves(account, host, at_work):
    rows = at_work(CROWD - 1)
    follow(account)
    asked = Count(host)
    for row in rows:
        assert step(row) < 1
    assert asked() >= len(rows)


def test_the_end_is_heard_and_looked_at(account, host, at_work):
    rows = at_work(CROWD + 3)
    follow(account)
    for row in rows:
        step(row)
    assert all(Rescue.objects.get(pk=row.pk).next_at > now() + timedelta(seconds=9) for row in rows)
    assert follow(account).woken == []
    host.calm()
    all_are(host, rows, "rescued")
    woken = set(follow(account).woken)
    assert woken == {row.pk for row in rows}
    asked = Count(host)
    for pk in woken:
        driver.step(pk)
    assert {Rescue.objects.get(pk=row.pk).state for row in rows} == {S.READY}
    # What was done to each, not the server too; the last few are no crowd any more.
    assert asked() == len(rows) + CROWD - 1


@pytest.mark.parametrize("told", ["active", "error", "building"])
def test_what_is_not_the_end_is_looked_at(account, host, at_work, told):
    """Only Nova tells of a failure, and whether its host gave up."""
    row, *_others = at_work()
    follow(account)
    Instance.objects.filter(pk=row.instance_id).update(
        vm_state=told, task_state=None, seen_at=now()
    )
    asked = Count(host)
    assert step(row) is not None
    assert asked() == 3  # the server, its actions, what its host has done
    row.refresh_from_db()
    assert row.state == S.WAITING and row.instance.task_state == "rescuing"


def test_an_end_by_the_listing_is_ours_only_by_its_action(account, host, at_work):
    """Somebody ended ours and rescued again: the listing alone would call that ready."""
    row, *_others = at_work()
    host.calm()
    all_are(host, [row], "rescued")
    host.outside(row.instance.name, "unrescue")
    all_are(host, [row], "active")
    host.outside(row.instance.name, "rescue")
    all_are(host, [row], "rescued")
    follow(account)
    step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.ENDED_OUTSIDE


def asked_for(account, alice, names):
    """Ask for rescues that nobody drives yet."""
    rows = []
    for instance in Instance.objects.filter(name__in=names):
        ref = rescue.picker_for(instance).preselected.ref
        rows.append(
            rescue.start(instance=instance, image_ref=ref, by=alice, idempotency_key=uuid.uuid4())
        )
    return rows


@pytest.fixture
def asked_crowd(account, alice):
    names = Instance.objects.order_by("name").values_list("name", flat=True)[: CROWD + 1]
    return asked_for(account, alice, list(names))


def quiet(account, seconds):
    """Let the newest listing have found every server untouched for so long."""
    follow(account)
    listed = CloudMirror.objects.get(account=account).listed_cloud_at
    Instance.objects.update(cloud_updated_at=listed - timedelta(seconds=seconds))
    return listed


def test_a_crowd_that_was_just_listed_is_not_looked_at_before_the_call(account, host, asked_crowd):
    quiet(account, 5)
    asked = Count(host)
    step(asked_crowd[0])
    assert asked() == 2  # what was done to it before, and the call
    row = Rescue.objects.get(pk=asked_crowd[0].pk)
    assert row.state == S.WAITING and row.vm_state_before == "active"


def test_what_was_done_long_ago_is_not_asked_for_before_a_call(account, host, asked_crowd):
    listed = quiet(account, 20)
    asked = Count(host)
    assert step(asked_crowd[0]) > 10
    assert asked() == 1  # the call
    row = Rescue.objects.get(pk=asked_crowd[0].pk)
    assert (row.state, row.baseline) == (S.WAITING, [])
    assert row.quiet_since == listed - sight.CLOCKS_DIFFER
    host.calm()
    all_are(host, [row], "rescued")
    follow(account)
    step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.READY


def test_what_may_have_been_done_just_now_is_asked_for_before_a_call(account, host, asked_crowd):
    quiet(account, 19)
    asked = Count(host)
    step(asked_crowd[0])
    assert asked() == 2
    quiet(account, 60)
    CloudMirror.objects.update(listed_at=now() - sight.FRESH - timedelta(seconds=1))
    Instance.objects.update(seen_at=now() - sight.FRESH - timedelta(seconds=1))
    asked = Count(host)
    step(asked_crowd[1])
    assert asked() == 2
    kept = Rescue.objects.filter(pk__in=[row.pk for row in asked_crowd[:2]])
    assert set(kept.values_list("quiet_since", flat=True)) == {None}


@pytest.mark.parametrize("taken", [True, False])
def test_a_lost_answer_is_understood_by_when_the_server_was_quiet(
    account, host, asked_crowd, monkeypatch, taken
):
    """An earlier rescue of ours must not be taken for this one's."""
    row, ask = asked_crowd[0], driver._ask
    host.calm()
    for change, there in (("rescue", "rescued"), ("unrescue", "active")):
        host.outside(row.instance.name, change)
        all_are(host, [row], there)
    quiet(account, 60)
    before = now()
    acts = driver.open_account(row.instance.account).actions(row.instance.server_id)
    soon = max(act.started_at for act in acts) + timedelta(seconds=1)  # Nova's stamps are whole
    wait_until(lambda: now() >= soon, "the second after", 3)
    CloudMirror.objects.update(listed_cloud_at=soon + sight.CLOCKS_DIFFER)

    def lost(*given):
        if taken:
            ask(*given)
        raise CloudError("nobody knows")

    with monkeypatch.context() as patch:
        patch.setattr(driver, "_ask", lost)
        step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.IN_DOUBT
    step(row)
    found = Rescue.objects.get(pk=row.pk)
    assert found.called_at >= before
    assert found.state == (S.WAITING if taken else S.IN_DOUBT)


@pytest.mark.parametrize(("seconds", "questions"), [(20, 2), (31, 3)])
def test_a_listing_may_be_half_a_minute_old_before_a_call(
    account, host, asked_crowd, seconds, questions
):
    """A busy cloud lists late; what it refuses at the wrong time is looked into."""
    follow(account)
    listed = now() - timedelta(seconds=seconds)
    CloudMirror.objects.update(listed_at=listed)
    Instance.objects.update(seen_at=listed)
    asked = Count(host)
    step(asked_crowd[0])
    assert asked() == questions


def test_after_its_call_one_of_a_crowd_is_left_to_the_listings(account, host, asked_crowd):
    row = asked_crowd[0]
    follow(account)
    assert step(row) > 10
    assert row.pk not in follow(account).woken  # that its host has begun decides nothing
    host.calm()
    all_are(host, [row], "rescued")
    assert row.pk in follow(account).woken
    step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.READY


def test_what_was_listed_while_the_call_was_on_its_way_is_not_lost(
    account, host, asked_crowd, monkeypatch
):
    """A listing that shows the end before the row says that the cloud has it wakes nobody."""
    row = asked_crowd[0]
    follow(account)
    ask = driver._ask

    def slow_answer(*given):
        answer = ask(*given)
        host.calm()
        all_are(host, [row], "rescued")
        assert row.pk not in follow(account).woken
        return answer

    monkeypatch.setattr(driver, "_ask", slow_answer)
    assert step(row) == 0.0
    step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.READY


def test_that_the_host_has_begun_meanwhile_is_no_news(account, host, asked_crowd, monkeypatch):
    ask = driver._ask

    def slow_answer(*given):
        answer = ask(*given)
        follow(account)
        return answer

    follow(account)
    monkeypatch.setattr(driver, "_ask", slow_answer)
    assert step(asked_crowd[0]) > 10
    asked_crowd[0].instance.refresh_from_db()
    assert asked_crowd[0].instance.task_state == "rescuing"


def test_who_came_first_meanwhile_is_told_by_nova(account, host, asked_crowd):
    """The listing is up to some seconds old: a rescue by somebody else since is a lost race."""
    host.calm()
    row = asked_crowd[0]
    follow(account)
    host.outside(row.instance.name, "rescue")
    all_are(host, [row], "rescued")
    for _look in range(3):
        step(row)
    assert Rescue.objects.get(pk=row.pk).state == S.LOST_RACE


def test_what_was_listed_before_the_call_does_not_count(account, host, at_work):
    row, *_others = at_work()
    follow(account)
    CloudMirror.objects.update(next_at=now() + timedelta(seconds=30))
    asked = Count(host)
    assert step(row, called_at=now()) > 10
    assert asked() == 0
    assert CloudMirror.objects.get(account=account).next_at <= now()  # a listing is asked for
    follow(account)
    assert step(row) > 10


def test_when_nobody_lists_each_looks_for_itself(account, host, at_work):
    row, *_others = at_work()
    follow(account)
    long_ago = now() - sight.ABANDONED - timedelta(seconds=1)
    idle = now() + timedelta(seconds=50)
    CloudMirror.objects.update(listed_at=long_ago, next_at=idle)
    asked = Count(host)
    assert step(row) < 1
    assert asked() >= 1
    assert CloudMirror.objects.get(account=account).next_at <= now()  # and the lister is called


def test_now_and_then_each_looks_for_itself(account, host, at_work):
    """Only so is it known whether its host has begun."""
    row, *_others = at_work()
    follow(account)
    asked = Count(host)
    step(row, called_at=now() - sight.LOOK_FIRST + timedelta(seconds=5), looked_at=None)
    assert asked() == 0
    step(row, called_at=now() - sight.LOOK_FIRST, looked_at=None)
    assert asked() == 3
    follow(account)
    step(row)
    assert asked() == 1  # the listing; the look was just now
    step(row, looked_at=now() - sight.LOOK_AGAIN)
    assert asked() == 3


def test_a_host_that_is_silent_is_told_in_a_crowd_too(account, host, at_work):
    row, *_others = at_work()
    ago = now() - timedelta(minutes=3)
    step(row, called_at=ago, looked_at=None)
    row.refresh_from_db()
    assert row.obstacle == "host_silent"
    follow(account)
    step(row)
    row.refresh_from_db()
    assert row.obstacle == "host_silent"


def test_a_change_between_the_look_and_the_wait_is_not_lost(account, host, at_work, monkeypatch):
    """The listing wakes the rescue while its step still holds it, and overwrites the time."""
    row, *_others = at_work()
    follow(account)
    move = Rescue.move

    def heard_first(self, *given, **changes):
        monkeypatch.setattr(Rescue, "move", move)
        host.calm()
        all_are(host, [row], "rescued")
        assert row.pk in follow(account).woken
        return move(self, *given, **changes)

    listen = driver._listen

    def slow_listen(*given):
        monkeypatch.setattr(Rescue, "move", heard_first)
        return listen(*given)

    monkeypatch.setattr(driver, "_listen", slow_listen)
    assert step(row) == 0.0
    assert row.pk in driver.due()
    driver.step(row.pk)
    assert Rescue.objects.get(pk=row.pk).state == S.READY


@pytest.mark.parametrize(("count", "rest"), [(CROWD - 1, 1), (CROWD, 3)])
def test_a_cloud_that_is_slow_is_left_alone_for_as_long_and_longer_in_a_crowd(
    account, host, at_work, monkeypatch, count, rest
):
    at_work(count)
    ask = changes._ask

    def slowly(*given):
        ask(*given)
        time.sleep(1)

    monkeypatch.setattr(changes, "_ask", slowly)
    assert rest - 0.1 < follow(account).wait < rest + 1


def test_a_crowd_comes_before_the_consoles_of_those_that_are_ready(
    account, host, at_work, monkeypatch
):
    row, *others = at_work(CROWD + 1)
    sent, read = [], []
    monkeypatch.setattr(tasks, "_send", lambda task, _of, countdown=0: sent.append(countdown))
    monkeypatch.setattr(tasks, "nudge_machine", lambda pk: None)
    monkeypatch.setattr(access, "read_console", read.append)

    def read_now(one):
        sent.clear(), read.clear()
        tasks.read_console(str(one.pk))
        assert (sent, read) in (([], [one.pk]), ([tasks.CONSOLE_IN_CROWD], []))
        return bool(read)

    ready = Rescue.objects.filter(pk=row.pk)
    ready.update(state=S.READY, ready_at=now())
    assert not read_now(row)
    ready.update(ready_at=now() - access.OTHERS_FIRST)
    assert read_now(row)
    ready.update(ready_at=now())
    Rescue.objects.filter(pk__in=[one.pk for one in others]).update(state=S.READY)
    assert read_now(row)


def test_a_crowd_is_followed_closely_and_looked_back_at_as_far_as_clocks_differ(
    account, host, at_work
):
    at_work()
    follow(account)
    read = len(host.requests())
    waits = [follow(account).wait for _time in range(3)]
    assert max(waits) <= 0.8
    listed = [back(one) for one in host.requests()[read:]]
    assert all(changes.OVERLAP <= far < changes.OVERLAP + timedelta(seconds=4) for far in listed)
    mirror = CloudMirror.objects.get(account=account)
    assert mirror.changes_since == mirror.listed_cloud_at


def back(asked):
    """Tell how far a listing looks back."""
    (since,) = parse_qs(urlsplit(asked["path"]).query)["changes-since"]
    return datetime.fromtimestamp(asked["time"], UTC) - datetime.fromisoformat(since)


def test_two_listeners_at_once_ask_once(account, host, at_work):
    at_work()
    follow(account)
    CloudMirror.objects.update(next_at=now())
    asked = Count(host)
    inventory.follow(account.pk)
    inventory.follow(account.pk)  # not due any more
    assert asked() == 1


def test_whose_step_comes_first_lists_for_all(account, host, at_work, monkeypatch):
    """The lister's own message may wait in the queue behind all of theirs."""
    sent = []
    monkeypatch.setattr(tasks, "_send", lambda task, *_given, **_more: sent.append(task))
    rows = at_work()
    follow(account)
    Rescue.objects.update(next_at=now())
    CloudMirror.objects.update(next_at=now())
    asked = Count(host)
    for row in rows:
        tasks.drive(str(row.pk))
    assert asked() == 1 and sent.count(tasks.sync) == 1
    Rescue.objects.filter(pk=rows[0].pk).update(state=S.CANCELLED)  # no crowd any more
    CloudMirror.objects.update(next_at=now())
    before = len(host.requests())
    tasks.drive(str(rows[1].pk))
    assert not any("changes-since" in one["path"] for one in host.requests()[before:])


def test_an_exit_in_a_crowd_is_listened_for_too(account, host, at_work, alice):
    rows = at_work()
    host.calm()
    all_are(host, rows, "rescued")
    follow(account)
    for row in rows:
        driver.step(row.pk)
    host.knobs(servers={"*": {"host_silent": True}})
    for row in rows:
        instance = Instance.objects.select_related("account__team").get(pk=row.instance_id)
        driver.step(rescue.request_exit(instance=instance, by=alice).pk)
    assert {Rescue.objects.get(pk=row.pk).state for row in rows} == {S.EXIT_WAITING}
    follow(account)
    asked = Count(host)
    assert all(step(row) > 10 for row in rows) and asked() == 0
    host.calm()
    all_are(host, rows, "active")
    for pk in follow(account).woken:
        driver.step(pk)
    assert {Rescue.objects.get(pk=row.pk).state for row in rows} == {S.CLOSED}
