"""Give the tests of a machine's pages its rows and Alice's browser; no worker is asked."""

from typing import Any

import pytest
from django.test import Client


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Collect what the workers would be told."""
    from instances import tasks

    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(tasks, "nudge_job", lambda job: told.append(("job", job.pk)))
    monkeypatch.setattr(tasks, "nudge_machine", lambda pk: told.append(("machine", pk)))
    return told


@pytest.fixture
def inside(rescue: Any) -> Any:
    """Give the machine after its disks were looked at."""
    from tests.instances import rows

    return rows.machine(rescue)


@pytest.fixture
def door(client: Client, alice: Any, nudges: Any) -> Client:
    """Give Alice's browser."""
    client.force_login(alice)
    return client
