"""The audit trail's page and files: whose, which part of it, in which words."""

import ast
import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from instances import driver
from instances.models import Job
from instances.recovery.terminals import End
from teams import acts, audit
from teams.models import AuditEntry, User
from teams.trail import PAGE_SIZE, harmless
from teams.views.trail import _pieces

ROOT = Path(__file__).resolve().parents[2]
EVIL = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def ask(client, teams, alice):
    """Ask for the trail as the owner."""
    client.force_login(alice)

    def get(ending="", **asked):
        return client.get(f"/teams/{teams.acme.pk}/trail{ending}", asked)

    return get


@pytest.fixture
def trail(teams, alice, bob, mallory, sam):
    audit.record("rescue.start", team=teams.acme, target="web-1 (a1)", actor=bob, reason="T-1")
    acted = User.objects.get(pk=bob.pk)
    acted.acted_by = sam
    audit.record("rescue.exit", team=teams.acme, target="web-2 (a2)", actor=acted)
    audit.record("rescue.ready", team=teams.acme, target="web-1 (a1)", reason="")
    audit.record("team.rename", team=teams.acme, target=EVIL, actor=alice, old=EVIL)
    audit.record("rescue.start", team=teams.other, target="secret of others", actor=mallory)
    audit.record("person.sign_in", team=None, target="nobody’s team", actor=bob)


def numbers(answer):
    return [int(found) for found in re.findall(r'id="entry-(\d+)"', answer.content.decode())]


def text(answer):
    return answer.content.decode()


# The page ---------------------------------------------------------------------------------------


def test_the_newest_comes_first_and_nothing_of_others(trail, ask):
    answer = ask()
    assert numbers(answer) == [4, 3, 2, 1]
    assert "secret of others" not in text(answer) and "nobody" not in text(answer)
    assert "Asked for rescue mode" in text(answer) and "T-1" in text(answer)
    assert "no-store" in answer.headers["Cache-Control"]


def test_both_names_are_shown_when_staff_acted(trail, ask):
    answer = text(ask())
    assert "by Sam, staff" in answer and "<bdi>Bob</bdi>" in answer
    assert "the panel itself" in answer


def test_the_time_is_utc_and_said_so(trail, ask):
    entry = AuditEntry.objects.get(pk=4)
    answer = text(ask())
    assert f"{entry.at:%H:%M:%S}" in answer and "UTC" in answer


def narrowed(teams, alice, bob, sam):
    today = timezone.now().date()
    return [
        ({"person": bob.pk}, [2, 1]),
        ({"person": sam.pk}, [2]),
        ({"person": 0}, [3]),
        ({"person": alice.pk}, [4]),
        ({"act": "rescue.start"}, [1]),
        ({"target": " WEB-1 "}, [3, 1]),
        ({"target": "no such thing"}, []),
        ({"staff": "on"}, [2]),
        ({"since": today}, [4, 3, 2, 1]),
        ({"until": today}, [4, 3, 2, 1]),
        ({"since": today + timedelta(1)}, []),
        ({"until": today - timedelta(1)}, []),
        ({"target": "web", "person": bob.pk, "act": "rescue.exit"}, [2]),
    ]


def test_one_narrows_it(trail, ask, teams, alice, bob, sam):
    for asked, expected in narrowed(teams, alice, bob, sam):
        assert numbers(ask(**asked)) == expected, asked


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"since": "yesterday"}, "Enter a valid date"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "before the first one"),
        ({"person": "99999"}, "Select a valid choice"),
        ({"person": "x"}, "Select a valid choice"),
        ({"act": "no.act"}, "Select a valid choice"),
        ({"target": "a\x00"}, "Null characters"),
        ({"target": "a" * 301}, "at most 300"),
    ],
)
def test_what_cannot_be_asked_is_said_beside_the_field(trail, ask, asked, sentence):
    for ending in ("", ".csv", ".jsonl"):
        answer = ask(ending, **asked)
        assert answer.status_code == 422 and sentence in text(answer)
        assert numbers(answer) == []
    assert not AuditEntry.objects.filter(act="trail.export").exists()


def test_other_people_are_not_offered(trail, ask):
    assert "mallory" not in text(ask()).lower()


def test_nothing_yet_and_nothing_found(ask, teams):
    assert "Nothing has been done yet" in text(ask())
    assert "No entry fits" in text(ask(target="x"))


def test_pages_are_found_by_key(ask, teams, alice):
    for number in range(2 * PAGE_SIZE + 3):
        audit.record("rescue.ready", team=teams.acme, target=f"web-{number}")
    seen, asked = [], {"target": "web"}
    while True:
        answer = ask(**asked)
        seen += numbers(answer)
        older = re.search(r'rel="next"\s+href="[^"]*\?([^"]+)"', text(answer))
        if not older:
            break
        assert "target=web" in older[1]
        asked = dict(part.split("=") for part in older[1].replace("&amp;", "&").split("&"))
        audit.record("rescue.ready", team=teams.acme, target="web-meanwhile")
    assert seen == list(range(2 * PAGE_SIZE + 3, 0, -1))
    assert numbers(ask(before="x' OR 1")) == numbers(ask())


def test_many_entries_take_as_many_queries_as_few(
    trail, ask, teams, bob, django_assert_num_queries
):
    with CaptureQueriesContext(connection) as few:
        ask()
    for number in range(60):
        audit.record("rescue.start", team=teams.acme, target=f"web-{number}", actor=bob)
    with django_assert_num_queries(len(few)):
        ask()


def test_signs_that_steer_are_written_out(ask, teams, alice):
    audit.record("team.rename", team=teams.acme, target="\x1b[2Jweb\u202e1\n", old="<script>\r")
    answer = text(ask())
    assert "\\x1b[2Jweb\\u202e1\\n" in answer and "&lt;script&gt;\\r" in answer
    assert "\x1b" not in answer and "\u202e" not in answer


# Files ------------------------------------------------------------------------------------------


def test_the_spreadsheet_holds_what_the_page_shows(trail, ask):
    answer = ask(".csv", target="web")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    whole = b"".join(answer.streaming_content)
    assert whole.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8-sig"))))
    assert [row["number"] for row in rows] == ["3", "2", "1"]
    assert rows[1]["actor"] == "Bob" and rows[1]["acting_by_email"] == "sam@example.org"
    assert rows[2]["details"] == '{"reason": "T-1"}' and rows[2]["at"].endswith("Z")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  ="])
def test_no_cell_is_a_formula(start):
    assert harmless(f"{start}1+1")[0] == "'"
    assert harmless("web-1=@") == "web-1=@"


def test_no_cell_of_a_file_is_a_formula(trail, ask):
    whole = b"".join(ask(".csv").streaming_content).decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(whole)) for cell in row]
    assert f"'{EVIL}" in cells
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == []


def test_json_lines_hold_all_that_a_hash_covers(trail, ask, teams):
    lines = b"".join(ask(".jsonl").streaming_content).splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["id"] for entry in entries] == [4, 3, 2, 1]
    kept = AuditEntry.objects.get(pk=2)
    told = entries[2]
    assert (told["hash"], told["acting_by"]["email"]) == (kept.hash, "sam@example.org")
    assert told["team"] == teams.acme.pk


def test_an_export_is_written_down(trail, ask, alice):
    answer = ask(".csv", act="rescue.start")
    entry = AuditEntry.objects.get(act="trail.export")
    assert entry.details == {"form": "csv", "filter": {"act": "rescue.start"}}
    assert entry.actor == alice
    assert b"rescue.start" in b"".join(answer.streaming_content)


def test_asking_for_the_headers_alone_exports_nothing(trail, client, teams, alice):
    client.force_login(alice)
    assert client.head(f"/teams/{teams.acme.pk}/trail.csv").status_code == 200
    assert not AuditEntry.objects.filter(act="trail.export").exists()


def test_a_long_file_is_read_in_batches(ask, teams, monkeypatch):
    monkeypatch.setattr("teams.trail.BATCH", 7)
    for _number in range(20):
        audit.record("rescue.ready", team=teams.acme, target="web-1")
    pieces = list(ask(".jsonl").streaming_content)
    assert len(pieces) == 3 and len(b"".join(pieces).splitlines()) == 20


def test_the_server_reads_piece_by_piece():
    request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": []}, None)

    async def read():
        return [piece async for piece in _pieces(request, iter([b"1", b"2"]))]

    assert async_to_sync(read)() == [b"1", b"2"]


# Words ------------------------------------------------------------------------------------------

RECORDERS = re.compile(r"(^|_)(record|note|audit)\w*$")
ACT = re.compile(r"[a-z_]+\.[a-z_]+")


def acts_in_code():
    """Find the acts that the code writes: first arguments of what records."""
    for path in sorted([*ROOT.glob("teams/**/*.py"), *ROOT.glob("instances/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and RECORDERS.search(ast.unparse(node.func)):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Constant) and ACT.fullmatch(str(inner.value)):
                        yield str(inner.value), path.name


def test_every_act_has_words():
    written = dict(acts_in_code()) | dict.fromkeys(driver.AUDITED.values(), "driver.py")
    assert len(written) > 25
    wordless = {act: place for act, place in written.items() if act not in acts.WORDS}
    assert not wordless, f"Give these acts words in teams/acts.py: {wordless}"


def test_every_act_and_label_has_french_words():
    with translation.override("fr"):
        for text in [*acts.WORDS.values(), *acts.LABELS.values()]:
            french = str(text)
            with translation.override("en"):
                english = str(text)
            same = {"Image", "Webhook"}
            assert french != english or english in same, english


def test_details_are_told_in_words():
    details = {
        "reason": "",
        "rescue": "2f15611b-8f4e-4d49-b7f1-3a2c3c0f3e11",
        "active": True,
        "events": ["rescue.ready", "rescue.failed"],
        "some_thing": {"a": 1},
    }
    assert dict(acts.told(details)) == {
        "Rescue": "2f15611b",
        "Active": "yes",
        "Events": "rescue.ready, rescue.failed",
        "Some thing": "a: 1",
    }


def test_codes_are_told_in_words_of_the_language():
    told = {"outcome": "left", "stage": "undo", "kind": "webauthn", "rescue": "0123456789"}
    with translation.override("fr"):
        said = dict(acts.told(told))
    assert list(said.values()) == [
        "la page a été quittée", "annulation", "clé d’accès", "01234567",
    ]  # fmt: skip


def test_every_end_of_a_terminal_and_every_stage_has_words():
    ends = {("outcome", end.name.lower()) for end in End} | {("outcome", "lost")}
    stages = {("stage", str(stage.value)) for stage in Job.Stage}
    assert ends | stages <= acts.VALUES.keys()
