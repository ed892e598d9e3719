"""The chain itself, without a database."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from teams import chain
from teams.chain import Link

START = datetime(2026, 11, 24, 1, 2, 3, 456, tzinfo=UTC)


def written(count=5):
    """Write a chain as the trail does."""
    links, previous = [], ""
    for number in range(1, count + 1):
        link = Link(number, START + timedelta(minutes=number), 1, 2, None, "x.y", "web-1", {})
        previous = chain.digest(previous, link)
        links.append(replace(link, hash=previous))
    return links


def test_a_whole_chain_is_whole():
    links = written()
    assert chain.verify(links) == chain.Verdict(5, links[-1].hash)
    assert chain.verify([]) == chain.Verdict(0, "")
    assert chain.verify(links, head=links[2].hash).problem == ""


FIELDS = [
    ("at", START),
    ("team", 9),
    ("team", None),
    ("actor", None),
    ("acting_by", 3),
    ("act", "x.z"),
    ("target", "web-2"),
    ("details", {"why": "because"}),
    ("hash", "0" * 64),
    ("hash", ""),
]


@pytest.mark.parametrize(("field", "value"), FIELDS)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_each_field_of_each_entry_counts(field, value, place):
    links = written()
    links[place] = replace(links[place], **{field: value})
    assert chain.verify(links).problem.startswith(f"Entry {place + 1} is not as it was written")


def test_every_field_of_a_link_is_tried():
    assert {field for field, _value in FIELDS} | {"id"} == {*chain.FIELDS, "hash"}


def test_what_is_missing_is_named():
    links = written()
    assert "follow entry 2: 3 missing" in chain.verify(links[:2] + links[3:]).problem
    assert "follow entry 0: 1 to 2 missing" in chain.verify(links[2:]).problem


def test_two_that_changed_places():
    one, two, three = written(3)
    swapped = [one, replace(three, id=2), replace(two, id=3)]
    assert chain.verify(swapped).problem.startswith("Entry 2 is not as it was written")


def test_only_a_kept_head_shows_a_cut_tail():
    links = written()
    assert not chain.verify(links[:3]).problem
    assert "given head" in chain.verify(links[:3], head=links[-1].hash).problem


def test_a_forged_tail_needs_the_hash_before_it():
    forged = Link(6, START, 1, 2, None, "x.y", "web-1", {})
    forged = replace(forged, hash=chain.digest("", forged))
    assert chain.verify([*written(), forged]).problem.startswith("Entry 6")


def test_one_moment_has_one_hash_in_every_zone():
    link = written(1)[0]
    elsewhere = replace(link, at=link.at.astimezone(timezone(timedelta(hours=-5))))
    assert chain.digest("", link) == chain.digest("", elsewhere)


def test_the_form_never_changes():
    """Kept heads have to fit for years: whoever changes the form breaks every trail there is."""
    link = Link(1, START, 1, 2, None, "rescue.start", "web-1 é", {"b": [1, None], "a": "x"})
    assert chain.digest("", link) == (
        "5a342b850770625ec1c31414a0bb2e07d3f8a38df5e3f81a4b23fc7f873197e2"
    )


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_what_is_plain_stays_as_it_is(value):
    once = chain.plain(value)
    assert chain.plain(once) == once
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert "\x00" not in json.dumps(once)


def test_what_no_database_takes_is_replaced():
    assert chain.plain({"a\x00": ("\ud800", float("nan"), 2.0, 0.1)}) == {
        "a\ufffd": ["?", "nan", 2, 0.1]
    }
