"""Alert rules and dashboard name figures, labels and states that exist; docs name the alerts."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import yaml
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from instances.lifecycle import State
from rescuepanel import health
from rescuepanel.stream import STREAMS
from teams import audit, tally
from tests.instances import rows
from tests.services import ROOT, RedisServer

FOLDER = ROOT / "docs/monitoring"
NAME = re.compile(r"\brescuepanel_\w+")


def rules() -> list[dict[str, Any]]:
    given = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [rule for group in given["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "dashboard.json").read_text())["panels"])


def asked() -> Iterator[tuple[str, str]]:
    """Give each alert's and each panel's questions."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.fixture
def shown(client: Client, teams: Any, redis_server: RedisServer) -> Iterator[dict[str, set[str]]]:
    """Give what a panel at work shows: each figure's name, and its labels."""
    link = redis.Redis.from_url(redis_server.url)
    link.flushall()
    rows.account(teams.acme)
    tally.add("upstream", account="1", service="compute", code="200")
    tally.add_duration("upstream", 0.2, service="compute")
    tally.add("task-failed", task="t")
    tally.add("server-error", view="v")
    tally.note("swept")
    audit.verify()
    health.mark_worker_alive()
    link.hset(STREAMS, "a", json.dumps({"open": 1, "at": 0}))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    yield found
    link.flushall()


@pytest.mark.django_db
def test_every_figure_asked_for_exists_with_its_labels(shown: dict[str, set[str]]) -> None:
    missing = {name for _who, expr in asked() for name in NAME.findall(expr)} - shown.keys()
    assert missing == set()
    for who, expr in asked():
        known = set().union(*(shown[name] for name in NAME.findall(expr)))
        used = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|=|!=)", expr))
        for group in re.findall(r"\bby \(([^)]*)\)", expr):
            used |= {label.strip() for label in group.split(",")}
        assert used - known == set(), who


@pytest.mark.django_db
def test_every_figure_is_asked_for_and_documented(shown: dict[str, set[str]]) -> None:
    used = {name for _who, expr in asked() for name in NAME.findall(expr)}
    parts = ("_count", "_sum", "_bucket")
    lonely = {name for name in shown if not name.endswith(parts)} - used
    assert lonely == set(), "a figure that nobody looks at"
    page = (ROOT / "docs/operations.md").read_text()
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert {name for name in base if f"`{name}" not in page} == set()


def test_alerts_name_states_that_exist() -> None:
    named = set()
    for _who, expr in asked():
        for given in re.findall(r'state(?:=~|!~|=)"([^"]+)"', expr):
            named |= set(given.split("|"))
    assert named and named - {str(state) for state in State} == set()


def test_every_alert_is_explained_to_an_operator() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    rows_of_table = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    assert {rule["alert"] for rule in rules()} - rows_of_table == set()
    assert len(rules()) >= 15
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
        assert rule["annotations"]["summary"]


def test_the_sweeper_s_alarm_is_slower_than_the_sweeper() -> None:
    every = settings.CELERY_BEAT_SCHEDULE["sweep"]["schedule"]
    (rule,) = [rule for rule in rules() if rule["alert"] == "SweeperSilent"]
    (patience,) = re.findall(r"> (\d+)", rule["expr"])
    assert int(patience) >= 3 * every


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_itself_accepts_the_rules_and_alerts() -> None:
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        subprocess.run(["promtool", *command], cwd=FOLDER, check=True)
