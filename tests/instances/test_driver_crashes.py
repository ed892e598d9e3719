"""Death at every point of a rescue and of an exit: before and after each commit and request.

A hook raises a ``BaseException`` at the n-th point, as a kill would end the worker there; half a
minute later another worker goes on. n runs over all the points there are.
"""

from functools import wraps

import pytest

from instances import driver, rescue
from instances.cloud import Cloud
from instances.lifecycle import State
from instances.models import Instance, Rescue
from tests.instances.conftest import drive, later


class Died(BaseException):
    """The worker is no more."""


class Doom:
    """Count the points that are passed, and die at one of them, once."""

    def __init__(self, monkeypatch):
        self.at = self.passed = 0
        self.passwords: list[str] = []
        for owner, name in (
            (Rescue, "move"), (Cloud, "_json"), (Cloud, "_act"), (driver, "_write"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self.around(getattr(owner, name)))

    def around(self, call):
        @wraps(call)
        def doomed(*args, **kwargs):
            if call.__name__ == "_act" and "rescue" in args[2]:
                self.passwords.append(args[2]["rescue"]["adminPass"])
            self.point()
            result = call(*args, **kwargs)
            self.point()
            return result

        return doomed

    def point(self):
        self.passed += 1
        if self.passed == self.at:
            raise Died


@pytest.fixture
def doom(demo, synced, monkeypatch):
    return Doom(monkeypatch)


def live_and_die(doom, row, at):
    """Drive a row with a death at a point; tell whether that point was reached."""
    doom.at, doom.passed = at, 0
    try:
        drive(row, seconds=13)
    except Died:
        drive(later(row, 40), seconds=15)
        return True
    doom.at = 0
    return False


def survive_all(doom, begin, check, *, stride=1):
    at = 1 - stride
    while True:
        at += stride
        row = begin()
        reached = live_and_die(doom, row, at)
        check(Rescue.objects.get(pk=row.pk), f"death at point {at}")
        if not reached:
            return at - stride


def put_back(demo, row):
    """Make the server free for the next turn, as if nothing had been."""
    demo.reset()
    demo.calm()
    Rescue.objects.filter(pk=row.pk).delete()
    Instance.objects.filter(pk=row.instance_id).update(
        vm_state="active", status="ACTIVE", task_state=None
    )


def test_death_at_every_point_of_a_rescue(demo, start, doom):
    def begin():
        doom.at = 0
        doom.passwords.clear()
        return start()

    def check(row, when):
        assert row.state == State.READY, when
        assert set(doom.passwords) == {row.password()}, when
        assert demo.accepted(row.instance.server_id, "rescue") == 1, when
        put_back(demo, row)

    assert survive_all(doom, begin, check) > 15


def test_death_at_every_point_of_an_exit(demo, start, doom, alice):
    def begin():
        doom.at = 0
        row = drive(start())
        assert row.state == State.READY
        return rescue.request_exit(instance=row.instance, by=alice)

    def check(row, when):
        assert row.state == State.CLOSED, when
        assert row.sealed_password == "", when
        assert demo.accepted(row.instance.server_id, "unrescue") == 1, when
        put_back(demo, row)

    assert survive_all(doom, begin, check) > 15


@pytest.mark.parametrize("second", ["lost_reply", "refuse_500"])
def test_death_at_many_points_with_a_fault_as_well(demo, start, doom, second):
    def begin():
        doom.at = 0
        doom.passwords.clear()
        demo.fault("web-1", **{second: 1})
        return start()

    def check(row, when):
        assert row.state == State.READY, when
        assert set(doom.passwords) == {row.password()}, when
        assert demo.accepted(row.instance.server_id, "rescue") == 1, when
        put_back(demo, row)

    assert survive_all(doom, begin, check, stride=3) > 15
