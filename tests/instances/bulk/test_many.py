"""The bad-update morning: three hundred rescues over real HTTP, driven by several workers."""

import threading
import time
import uuid
from typing import Any

import pytest
from django.db import connections

from instances import driver, inventory
from instances.bulk import asked, run
from instances.models import Batch, BatchItem, Instance, Rescue
from instances.rescue import picker_for
from teams.models import CloudAccount
from tests.instances.bulk.tools import states
from tests.services import running_democloud

MANY, AT_ONCE, WORKERS = 300, 100, 4


def drive(batch: Batch, most: list[int], problems: list[BaseException]) -> None:
    """Do what workers and sweeper do until the batch is done."""
    until = time.monotonic() + 240
    try:
        while time.monotonic() < until:
            run.advance(batch.pk)
            most.append(BatchItem.objects.filter(state="started").count())
            for rescue_id in driver.due():
                driver.step(rescue_id)
            if Batch.objects.get(pk=batch.pk).state != "running":
                return
            time.sleep(0.05)
    except BaseException as problem:
        problems.append(problem)
    finally:
        connections.close_all()


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
def test_three_hundred_come_into_rescue(
    teams: Any, alice: Any, credential: Any, fresh_connections: None
) -> None:
    with running_democloud("--seed", f"many:{MANY}", "--instant") as url:
        account = CloudAccount.objects.create(team=teams.acme, name="Many", region_name="Demo-GRA")
        given = credential("acme")
        account.keep_credential(given | {"auth": given["auth"] | {"auth_url": url}})
        inventory.due_accounts()
        inventory.sync(account.pk)
        chosen = Instance.objects.filter(account=account)
        assert chosen.count() == MANY
        best = picker_for(chosen[0]).preselected
        assert best
        batch = asked.draft(kind="start", chosen=chosen, by=alice)
        asked.begin(
            batch=batch, by=alice, reason=str(uuid.uuid4()), hours=None, snapshot="",
            images={str(account.pk): best.ref}, at_once=AT_ONCE, stop_after=3,
        )  # fmt: skip
        most: list[int] = []
        problems: list[BaseException] = []
        began = time.monotonic()
        workers = [
            threading.Thread(target=drive, args=(batch, most, problems)) for _ in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(300)
    print(f"{MANY} in {time.monotonic() - began:.0f} s, at most {max(most)} at once")
    assert not problems
    assert states(batch) == {"done": MANY}
    assert max(most) <= AT_ONCE
    assert Rescue.objects.filter(state="READY").count() == MANY
    assert len({row.password() for row in Rescue.objects.all()}) == MANY
