"""A cloud whose answers make no sense: no task and no page fails, and then all is well again."""

import logging
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from instances import consoles, rescue, tasks
from instances.cloud import opening
from instances.lifecycle import IN_RESCUE
from instances.models import BootCheck, CloudMirror, Instance, Rescue
from instances.models.clock import now
from instances.recovery import access
from teams.models import CloudAccount
from tests.fuzz.front import Front, before
from tests.fuzz.rounds import Findings, dice_of, rounds
from tests.instances.conftest import drive, later

SHARES = (0.05, 0.2, 0.5, 1.0)


@pytest.fixture(scope="module")
def front(democloud: str) -> Iterator[tuple[Front, str]]:
    with before(democloud) as standing:
        yield standing


@pytest.fixture
def bent(account: Any, credential: Any, front: Any, demo: Any, settings: Any) -> Any:
    """Give the account, now reached through the front."""
    given = credential("acme")
    given["auth"]["auth_url"] = front[1]
    account.keep_credential(given)
    account.auth_url = front[1]
    account.save()
    settings.KEYSTONE_SIGN_IN = {"url": front[1], "name": "My Cloud", "domain": "Default"}
    logging.disable(logging.CRITICAL)
    yield account
    logging.disable(logging.NOTSET)


class Story:
    """One person's day with a cloud whose answers are bent, and the next, when they are not."""

    def __init__(
        self, account: Any, alice: Any, front: Front, found: Findings, dice: Random
    ) -> None:
        self.account, self.alice, self.front, self.found, self.dice = (
            account,
            alice,
            front,
            found,
            dice,
        )
        self.client = Client()
        self.client.force_login(alice)

    def step(self, what: str, *fine: type[BaseException]) -> Any:
        sent = lambda: "\n".join(self.front.bent[-4:])  # noqa: E731
        return self.found.step(f"{what} ({self.seed})", sent, *fine)

    def live(self, seed: str) -> None:
        self.seed = seed
        if self.dice.random() < 0.5:  # a mirror that was read before the trouble
            self._read_all()
        self.front.begin(seed, self.dice.choice(SHARES))
        self._read_all()
        self._rescue()
        self._ask_about_the_account()
        self._come_by_keystone()
        self._look_at_pages()
        self.front.calm()
        self._all_is_well_again()

    def _read_all(self) -> None:
        opening._opened.clear()
        past = now()
        CloudMirror.objects.update(
            next_at=past, full_next_at=None, images_next_at=None, lease_until=None
        )
        with self.step("sync_due"):
            tasks.sync_due()
        with self.step("read_all"):
            tasks.read_all(self.account.pk)
        with self.step("sync"):
            tasks.sync(self.account.pk)

    def _rescue(self) -> None:
        chosen = list(Instance.objects.filter(account=self.account, vm_state="active")[:12])
        if not chosen:
            return
        instance = self.dice.choice(chosen)
        with self.step("start", rescue.NotPossible):
            options = rescue.picker_for(instance).choices
            image = self.dice.choice(options).ref if options else "none"
            snapshot = "before" if self.dice.random() < 0.4 else ""
            made = rescue.start(
                instance=instance,
                image_ref=image,
                by=self.alice,
                idempotency_key=uuid.uuid4(),
                snapshot=snapshot,
            )
            self._drive(made)
        with self.step("exit", rescue.NotPossible):
            again = Instance.objects.with_panel_data().get(pk=instance.pk)
            made = rescue.request_exit(instance=again, by=self.alice)
            self._drive(made)
            BootCheck.objects.update(next_at=now())
            tasks.watch_boot(str(made.pk))
        with self.step("history"):
            tasks.read_history(instance.pk)
        with self.step("console"):
            reading = consoles.ask(instance=instance, by=self.alice)
            if reading:
                tasks.diagnose(reading.pk)

    def _drive(self, row: Any) -> None:
        for _step in range(8):
            row = later(row, 15)
            if not row.is_open:
                return
            with self.step("drive"):
                tasks.drive(str(row.pk))
            with self.step("read_console"):
                access.attend(row.pk)
                access.read_console(row.pk)

    def _ask_about_the_account(self) -> None:
        cache.clear()  # the limit of tests in a minute
        base = f"/teams/{self.account.team_id}/clouds"
        form = {
            "way": "application",
            "name": f"another-{uuid.uuid4()}",
            "auth_url": self.account.credential()["auth"]["auth_url"],
            **{k: v for k, v in self.account.credential()["auth"].items() if k != "auth_url"},
        }
        for path in ("connect", f"{self.account.pk}/rotate", f"{self.account.pk}/test"):
            opening._opened.clear()
            self._post(f"{base}/{path}", form)

    def _come_by_keystone(self) -> None:
        cache.clear()
        with self.step("keystone"):
            answer = Client().post(
                "/account/keystone", {"username": "alice", "password": "x", "domain": "Default"}
            )
            self._judge("keystone", answer)

    def _look_at_pages(self) -> None:
        cache.clear()
        paths = ["/", "/?q=a&status=rescue", "/notifications", "/staff/accesses"]
        team, base = self.account.team_id, f"/teams/{self.account.team_id}"
        paths += [
            f"{base}/{name}"
            for name in ("clouds", "rescues", "trail", "trail.csv", "trail.jsonl", "batches")
        ]
        paths += [f"{base}/clouds/{row.pk}" for row in CloudAccount.objects.filter(team=team)]
        for row in self.dice.sample(list(Instance.objects.all()), min(4, Instance.objects.count())):
            paths += [
                f"/instances/{row.pk}/{name}"
                for name in ("row", "rescue", "exit", "history", "console", "by-hand")
            ]
        for one in Rescue.objects.all():
            paths += [
                f"/rescues/{one.pk}",
                f"/rescues/{one.pk}/report",
                f"/rescues/{one.pk}/machine",
            ]
        for path in paths:
            with self.step(f"GET {path}"):
                self._judge(path, self.client.get(path))

    def _post(self, path: str, form: dict[str, Any]) -> None:
        with self.step(f"POST {path}"):
            self._judge(path, self.client.post(path, form))

    def _judge(self, path: str, answer: Any) -> None:
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content
        # Without its Keystone the page of that door says so with 503.
        if answer.status_code >= 500 and (path, answer.status_code) != ("keystone", 503):
            self.found.wrong(f"{answer.status_code} of {path}", self.front.bent[-4:])
        if b"<script>window.pwned" in text:
            self.found.wrong(f"a script in {path}", self.front.bent[-4:])

    def _all_is_well_again(self) -> None:
        with self.step("afterwards"):
            self._read_all()
            mirror = CloudMirror.objects.get(account=self.account)
            assert not mirror.problem, mirror.problem
            shown = Instance.objects.filter(account=self.account, deleted_at=None)
            assert shown.count() == 26, sorted(shown.values_list("name", flat=True))
            for row in Rescue.objects.open():
                row = drive(row, steps=40, seconds=30)
                assert not row.is_open or row.state in IN_RESCUE, row.state
                lied = any("/action" in one and "POST" in one for one in self.front.bent)
                if row.state == "READY" and not lied:
                    told = self._demo(
                        "POST",
                        "password-check",
                        json={"server": row.instance.server_id, "password": row.password()},
                    )
                    assert told["accepted"], "a password that does not work"

    def _demo(self, *given: Any, **more: Any) -> Any:
        return self.demo._demo(*given, **more)


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(36_000)
def test_answers_that_make_no_sense(bent: Any, front: Any, demo: Any, alice: Any) -> None:
    from django.db import transaction

    found = Findings()
    for seed in rounds(at_least=3):
        demo.reset()
        demo.calm()
        with transaction.atomic():
            story = Story(bent, alice, front[0], found, dice_of(seed))
            story.demo = demo
            story.live(seed)
            transaction.set_rollback(True)
    found.settle("Bent answers of a cloud")
