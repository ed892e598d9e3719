"""While staff act for somebody, the password is in no answer: every address, every method."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from instances.models import Grant
from tests import test_access
from tests.instances.rows import PASSWORD
from tests.test_access import path_of, things, undone

METHODS = ("GET", "POST")  # all others are refused: tests/test_access.py
world = test_access.world
FRAGMENT = {"HTTP_HX_REQUEST": "true"}


def answers(world: Any) -> Iterator[tuple[str, Any]]:
    """Ask every address as sam for the team's owner, plainly and as a fragment."""
    rows = {row.address: row for row in test_access.ROWS}
    assert set(test_access.addresses()) <= set(rows), "see tests/test_access.py"
    for row in rows.values():
        path = path_of(row, things(row, world))
        for method in METHODS:
            for headers in ({}, FRAGMENT):
                client = test_access.visitor("sam for alice", world)
                with undone():
                    answer = client.generic(method, path, **headers)
                if path not in ("/staff/stop", "/sign-out"):
                    assert answer.wsgi_request.user.acted_by == world.sam, path
                body = b"".join(answer) if answer.streaming else answer.content
                yield f"{method} {path}", (body + str(answer.headers).encode()).decode()


def test_the_canary_sings_for_its_owner(world: Any) -> None:
    client = test_access.visitor("alice", world)
    assert PASSWORD in client.post(f"/rescues/{world.rescue.pk}/password").content.decode()


@pytest.mark.long
def test_no_secret_is_in_any_answer(world: Any) -> None:
    asked = 0
    for what, shown in answers(world):
        assert PASSWORD not in shown, what
        assert not re.search(r"v1:[0-9a-f]{8}:", shown), f"{what} shows a sealed secret"
        asked += 1
    addresses = {row.address for row in test_access.ROWS}
    assert asked >= 2 * len(METHODS) * len(addresses)


@pytest.mark.long
def test_with_a_leave_it_is_in_one_answer_alone(world: Any) -> None:
    grant = Grant.objects.get()
    allow = f"/rescues/{world.rescue.pk}/grant/{grant.pk}/allow"
    assert test_access.visitor("bob", world).post(allow, **FRAGMENT).status_code == 200
    shown = {what for what, body in answers(world) if PASSWORD in body}
    assert shown == {f"POST /rescues/{world.rescue.pk}/password"}
