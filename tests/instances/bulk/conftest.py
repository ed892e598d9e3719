"""Give bulk actions of instances as a sync left them."""

from collections.abc import Callable
from typing import Any

import pytest

CHOICES = {"reason": "INC-1", "hours": None, "snapshot": "", "at_once": 5, "stop_after": 3}


@pytest.fixture
def acme(teams: Any) -> Any:
    """Give Acme's account with its images."""
    from tests.instances import rows

    account = rows.account(teams.acme, "acme")
    rows.images(account)
    return account


@pytest.fixture
def many(acme: Any) -> list[Any]:
    """Give a dozen running instances."""
    from tests.instances import rows

    return [rows.instance(acme, f"web-{number:02}") for number in range(12)]


@pytest.fixture
def draft(alice: Any) -> Callable[..., Any]:
    """Draft a bulk action of some instances."""
    from instances.bulk import asked
    from instances.models import Instance

    def make(chosen: list[Any], kind: str = "start", by: Any = alice) -> Any:
        some = Instance.objects.filter(pk__in=[one.pk for one in chosen])
        return asked.draft(kind=kind, chosen=some, by=by)

    return make


@pytest.fixture
def begun(draft: Any, alice: Any) -> Callable[..., Any]:
    """Begin one at once."""
    from instances.bulk import asked
    from tests.instances import rows

    def make(chosen: list[Any], kind: str = "start", by: Any = alice, **more: Any) -> Any:
        batch = draft(chosen, kind, by)
        images = {str(one.account_id): rows.RESCUE_IMAGE for one in chosen}
        return asked.begin(batch=batch, by=by, **(CHOICES | {"images": images} | more))

    return make
