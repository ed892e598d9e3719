"""The audit trail in the database: appended to, never changed; what is tampered with is found."""

import json
import re
import threading
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from teams import append_only, audit, chain, tasks
from teams.models import AuditEntry, Team

ROOT = Path(__file__).resolve().parents[2]
TABLE = "teams_auditentry"
ODD = {
    "text": "é “x” \u202e \x00 \ud800",
    "numbers": [0, -1, 2**40, 1.0, 0.1, 1e22, 1e-7, float("inf")],
    "nested": {"b": None, "a": True, "": []},
}


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def trail(teams, alice, bob, sam):
    """Give a trail of six entries, by several people, one by staff, one by nobody."""
    alice.acted_by = sam
    audit.record("rescue.start", team=teams.acme, target="web-1", actor=alice, image="rescue")
    audit.record("password.reveal", team=teams.acme, target="web-1", actor=bob)
    audit.record("rescue.ready", team=teams.acme, target="web-1", reason="")
    audit.record("team.create", team=teams.other, target="Other", actor=bob, **ODD)
    audit.record("rescue.exit", team=teams.acme, target="web-1", actor=bob)
    audit.record("key.rotate", team=None, target="\x00\ud800" + "é" * 400)
    return list(AuditEntry.objects.order_by("pk"))


# The refusal ------------------------------------------------------------------------------------


REFUSED = [
    f"UPDATE {TABLE} SET act = 'x'",
    f"UPDATE {TABLE} SET hash = hash",
    f"UPDATE {TABLE} SET id = id + 1",
    f"DELETE FROM {TABLE}",
    f"DELETE FROM {TABLE} WHERE id = 1",
    f"INSERT INTO {TABLE} SELECT * FROM {TABLE} WHERE id = 1",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_to_change_entries(trail, statement):
    with pytest.raises(DatabaseError), transaction.atomic():
        sql(statement)
    assert list(AuditEntry.objects.order_by("pk")) == trail
    assert not audit.verify().problem


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
def test_the_database_refuses_to_truncate(trail):
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # as after a commit
    for statement in (f"TRUNCATE {TABLE}", "TRUNCATE teams_team CASCADE"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(statement)
    assert AuditEntry.objects.count() == len(trail)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no REPLACE")
def test_sqlite_refuses_to_replace(trail):
    row = f"SELECT id, at, 'x', target, details, acting_by_id, actor_id, team_id, hash FROM {TABLE}"
    names = "(id, at, act, target, details, acting_by_id, actor_id, team_id, hash)"
    with pytest.raises(DatabaseError), transaction.atomic():
        sql(f"REPLACE INTO {TABLE} {names} {row}")
    assert not audit.verify().problem


def test_python_refuses_before_the_database(trail):
    entry = trail[0]
    with pytest.raises(ValidationError):
        AuditEntry.objects.bulk_create([AuditEntry(act="x", target="")])
    with pytest.raises(ValidationError, match=r"teams\.audit\.record"):
        AuditEntry.objects.create(act="x", target="")
    with pytest.raises(ValidationError):
        entry.save()


# The chain --------------------------------------------------------------------------------------


def test_entries_come_back_as_they_were_hashed(trail):
    verdict = audit.verify()
    assert verdict == chain.Verdict(6, trail[-1].hash)
    assert audit.head() == (trail[-1].pk, trail[-1].hash)
    assert [entry.pk for entry in trail] == [1, 2, 3, 4, 5, 6]
    assert len(trail[-1].target) == 300


def test_a_change_undone_leaves_no_gap(trail, teams):
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.record("x.y", team=teams.acme, target="undone")
        raise RuntimeError
    assert audit.record("x.y", team=teams.acme, target="done").pk == 7
    assert not audit.verify().problem


TAMPERED = {
    "changed": (f"UPDATE {TABLE} SET target = 'web-2' WHERE id = 3", "Entry 3 is not"),
    "another person": (f"UPDATE {TABLE} SET actor_id = NULL WHERE id = 2", "Entry 2 is not"),
    "another time": (
        f"UPDATE {TABLE} SET at = '2020-01-01 00:00:00+00:00' WHERE id = 4",
        "Entry 4 is not",
    ),
    "details": (f"UPDATE {TABLE} SET details = '{{}}' WHERE id = 1", "Entry 1 is not"),
    "no hash": (f"UPDATE {TABLE} SET hash = '' WHERE id = 6", "Entry 6 is not"),
    "deleted": (f"DELETE FROM {TABLE} WHERE id = 3", "does not follow entry 2: 3 missing"),
    "two deleted": (f"DELETE FROM {TABLE} WHERE id IN (3, 4)", "entry 2: 3 to 4 missing"),
    "the first deleted": (f"DELETE FROM {TABLE} WHERE id = 1", "entry 0: 1 missing"),
    "forged tail": (
        f"""INSERT INTO {TABLE} (id, at, act, target, details, hash)
        VALUES (7, '2026-01-01 00:00:00+00:00', 'x.y', 'web-1', '{{}}', '{"0" * 64}')""",
        "Entry 7 is not",
    ),
}


@pytest.fixture
def unprotected(trail):
    """Be somebody who owns the database."""
    append_only.lift(connection)
    return trail


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_tampered_with_is_found(unprotected, what, capsys):
    statement, sentence = TAMPERED[what]
    sql(statement)
    assert sentence in audit.verify().problem
    with pytest.raises(CommandError, match=sentence) as refused:
        call_command("verify_audit")
    assert refused.value.returncode == 1


def test_two_entries_that_changed_places_are_found(unprotected):
    for before, after in [(2, 99), (3, 2), (99, 3)]:
        sql(f"UPDATE {TABLE} SET id = {after} WHERE id = {before}")
    assert "Entry 2 is not" in audit.verify().problem


def test_a_cut_tail_is_found_by_a_head_kept_elsewhere(unprotected):
    head = unprotected[-1].hash
    sql(f"DELETE FROM {TABLE} WHERE id > 4")
    assert not audit.verify().problem
    with pytest.raises(CommandError, match="given head is not in the trail"):
        call_command("verify_audit", head=head)


def chained_anew(monkeypatch):
    """Do what the migration does, and what somebody with the program and the database can do."""
    with monkeypatch.context() as past:
        past.setattr(AuditEntry, "objects", AuditEntry._base_manager)
        import_module("teams.migrations.0004_chain").chain_entries(apps, None)


def test_a_trail_written_anew_is_found_by_a_head_kept_elsewhere(unprotected, monkeypatch):
    head = unprotected[-1].hash
    sql(f"UPDATE {TABLE} SET actor_id = NULL")
    chained_anew(monkeypatch)
    assert not audit.verify().problem
    assert "given head" in audit.verify(head).problem


def test_the_command_tells_count_and_head(trail, capsys):
    call_command("verify_audit", head=trail[2].hash)
    told = capsys.readouterr().out
    assert "6 entries" in told and trail[-1].hash in told
    call_command("verify_audit", head=trail[-1].hash.upper())


def test_the_head_is_kept_outside_the_database(trail, settings, tmp_path, caplog):
    settings.AUDIT_HEADS = ""
    with caplog.at_level("INFO"):
        tasks.keep_audit_head()
    assert f"6 entries, head {trail[-1].hash}" in caplog.text
    settings.AUDIT_HEADS = str(tmp_path / "heads")
    for _turn in range(2):
        tasks.keep_audit_head()
    lines = (tmp_path / "heads").read_text().splitlines()
    assert len(lines) == 2 and lines[0].endswith(f" 6 {trail[-1].hash}")
    settings.AUDIT_HEADS = str(tmp_path / "no" / "heads")
    tasks.keep_audit_head()
    assert "cannot be written to AUDIT_HEADS" in caplog.text


# Migration, concurrency -------------------------------------------------------------------------


def test_entries_from_before_the_chain_are_chained(unprotected, monkeypatch):
    sql(f"UPDATE {TABLE} SET hash = ''")
    chained_anew(monkeypatch)
    assert not audit.verify().problem


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_chain(teams, alice):
    problems = []

    def write():
        try:
            for number in range(8):
                with transaction.atomic():
                    # as a change of the team does, which the trail's foreign key points to
                    Team.objects.select_for_update(no_key=True).get(pk=teams.acme.pk)
                    audit.record("x.y", team=teams.acme, target=str(number), actor=alice)
        except Exception as problem:
            problems.append(problem)
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert problems == []
    assert audit.verify().count == 48 and not audit.verify().problem


def test_locks_on_people_and_teams_leave_their_keys_alone():
    """A full lock on a row that entries point to and the trail’s own could wait for each other."""
    full = re.compile(r"(?:Team|User)\.objects\.select_for_update\((?!no_key=True)")
    paths = [*ROOT.glob("teams/**/*.py"), *ROOT.glob("instances/**/*.py")]
    assert [path.name for path in paths if full.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.django_db(transaction=True)
def test_a_test_may_empty_the_trail_and_is_protected_again(trail):
    call_command("flush", interactive=False, verbosity=0)
    assert not AuditEntry.objects.exists()
    audit.record("x.y", team=None, target="")
    with pytest.raises(DatabaseError):
        sql(f"DELETE FROM {TABLE}")


def test_details_are_readable_as_json(trail):
    details = AuditEntry.objects.get(act="team.create").details
    assert details["numbers"][3:] == [1, 0.1, 10**22, 1e-7, "inf"]
    assert json.loads(json.dumps(details)) == details
