"""Give the tests of the domain a cloud over HTTP, an account on it, and rescues to drive."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from tests.instances.cloudtools import DemoCloud
from tests.services import ROOT

TIMES = ("created_at", "asked_at", "called_at", "lease_until", "next_at", "accepted_at")


@cache
def _credentials() -> dict[str, Any]:
    command = [sys.executable, "-m", "democloud", "--print-credentials"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


@pytest.fixture
def demo(democloud: str) -> DemoCloud:
    """Give the look-alike as it was at its start."""
    cloud = DemoCloud(democloud)
    cloud.reset()
    cloud.calm()
    return cloud


@pytest.fixture
def fresh_connections() -> Iterator[None]:
    """Forget the connections of other tests, whose accounts had the same ids."""
    from instances.cloud import opening

    opening._opened.clear()
    yield
    opening._opened.clear()


@pytest.fixture
def credential(democloud: str) -> Callable[[str], dict[str, Any]]:
    """Give what opens the look-alike, by one of its names of a way in."""

    def find(name: str) -> dict[str, Any]:
        given = _credentials()[name]
        auth = given["auth"] | {"auth_url": democloud}
        return {"auth_type": given["auth_type"], "auth": auth}

    return find


@pytest.fixture
def account(teams: Any, credential: Any, fresh_connections: None) -> Any:
    """Give Acme Web's account on the look-alike, not yet read."""
    from teams.models import CloudAccount

    account = CloudAccount.objects.create(team=teams.acme, name="Demo", region_name="Demo-GRA")
    account.keep_credential(credential("acme"))
    return account


@pytest.fixture
def synced(demo: DemoCloud, account: Any) -> Any:
    """Give the account after its first synchronisation."""
    from instances import inventory

    inventory.due_accounts()
    inventory.sync(account.pk)
    return account


@pytest.fixture
def instance_named(synced: Any) -> Callable[[str], Any]:
    """Give an instance of the account by its name, as its row is now."""
    from instances.models import Instance

    return lambda name: Instance.objects.get(account=synced, name=name)


@pytest.fixture
def start(instance_named: Any, alice: Any) -> Callable[..., Any]:
    """Ask for a rescue with the image the picker offers first."""
    from instances import rescue

    def ask(name: str = "web-1", **changes: Any) -> Any:
        instance = instance_named(name)
        chosen = rescue.picker_for(instance).preselected
        given = {
            "instance": instance,
            "image_ref": chosen.ref,
            "by": alice,
            "idempotency_key": uuid.uuid4(),
        }
        return rescue.start(**(given | changes))

    return ask


def later(row: Any, seconds: float = 0) -> Any:
    """Let time pass for a rescue: all its stamps move into the past, and it is due."""
    from instances.models import Rescue

    row.refresh_from_db()
    moved = {
        name: getattr(row, name) - timedelta(seconds=seconds)
        for name in TIMES
        if getattr(row, name)
    }
    if row.next_at:
        moved["next_at"] = min(moved["next_at"], row.created_at - timedelta(seconds=1))
    Rescue.objects.filter(pk=row.pk).update(**moved)
    row.refresh_from_db()
    return row


def drive(row: Any, *, steps: int = 12, seconds: float = 0) -> Any:
    """Step a rescue until it rests or settles, or so many times; waits are skipped."""
    import time

    from instances import driver

    for _step in range(steps):
        row = later(row, seconds)
        if not row.is_open or row.next_at is None:
            break
        driver.step(row.pk)
        time.sleep(0.02)  # the look-alike's host needs a turn of its loop
    row.refresh_from_db()
    row.instance.refresh_from_db()
    return row
