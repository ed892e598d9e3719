"""Read the panel's figures where all its processes keep them: in the database and in Redis.

Nothing is counted in the process that answers, so every ``web`` answers the same. Labels hold our
own words and ids; no name, address or path of anybody's.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from instances import ears
from instances.lifecycle import OPEN
from instances.models import Batch, CloudMirror, Job, Rescue, Terminal
from instances.tasks import BEHIND, LATER, MACHINES
from teams import audit, tally
from teams.models import Delivery, Webhook

from .health import CHECKS
from .stream import STREAMS, STREAMS_KNOWN_FOR

PREFIX = "rescuepanel_"
SWEPT = "swept"
QUEUES = (settings.CELERY_TASK_DEFAULT_QUEUE, MACHINES)


def gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    """Return an empty gauge of ours."""
    return GaugeMetricFamily(PREFIX + name, what, labels=labels)


def one(name: str, what: str, value: float) -> GaugeMetricFamily:
    """Return a gauge without labels."""
    return GaugeMetricFamily(PREFIX + name, what, value=value)


def parts() -> Iterator[Metric]:
    """Say which part answers."""
    up = gauge("up", "Whether a part answers (1) or not (0).", "part")
    for name, check in CHECKS.items():
        up.add_metric([name], float(check() == "ok"))
    yield up


# The database ---------------------------------------------------------------------------------


def rescues() -> Iterator[Metric]:
    """Tell of the rescues that have not ended: how many, how old, how late."""
    count = gauge("open_rescues", "Rescues not ended, by state.", "state")
    oldest = gauge(
        "oldest_rescue_seconds", "Since when the oldest was asked for (or its exit).", "state"
    )
    rows = Rescue.objects.open().order_by().values_list("state")
    found = {row[0]: row[1:] for row in rows.annotate(Count("pk"), Min("asked_at"))}
    for state in sorted(OPEN):
        number, since = found.get(state, (0, None))
        count.add_metric([state], number)
        oldest.add_metric([state], _age(since))
    yield from (count, oldest)
    due = Rescue.objects.due(timezone.now()).aggregate(since=Min("next_at"))["since"]
    what = "How late the next move of a rescue is that nobody makes."
    yield one("rescue_overdue_seconds", what, _age(due))


def work() -> Iterator[Metric]:
    """Tell of work on machines, of bulk actions and of terminals."""
    count = gauge("open_jobs", "Pieces of work on machines, by state.", "state")
    oldest = gauge("oldest_job_seconds", "Since when the oldest was asked for.", "state")
    rows = Job.objects.filter(state__in=Job.UNDER_WAY).order_by().values_list("state")
    found = {row[0]: row[1:] for row in rows.annotate(Count("pk"), Min("asked_at"))}
    for state in Job.UNDER_WAY:
        number, since = found.get(state, (0, None))
        count.add_metric([state], number)
        oldest.add_metric([state], _age(since))
    yield from (count, oldest)
    batches = gauge("open_batches", "Bulk actions not ended, by state.", "state")
    states = (Batch.State.RUNNING, Batch.State.PAUSED)
    begun = Batch.objects.filter(state__in=states).order_by().values_list("state")
    numbers = dict(begun.annotate(Count("pk")))
    for name in states:
        batches.add_metric([name], numbers.get(name, 0))
    yield batches
    terminals = Terminal.objects.open(timezone.now()).count()
    yield one("open_terminals", "Terminals in browsers.", terminals)


def accounts() -> Iterator[Metric]:
    """Tell how true the mirror of each connected cloud account is."""
    age = gauge("mirror_age_seconds", "Age of what we know of a cloud account.", "account")
    whole = gauge("whole_reading_age_seconds", "Since when it was read to its end.", "account")
    failures = gauge("sync_failures", "Tries in a row that failed.", "account")
    connected = CloudMirror.objects.filter(account__disconnected_at=None)
    for pk, synced, full, failed in connected.values_list(
        "account_id", "synced_at", "full_at", "failures"
    ):
        for family, since in ((age, synced), (whole, full)):
            if since:
                family.add_metric([str(pk)], _age(since))
        failures.add_metric([str(pk)], failed)
    yield from (age, whole, failures)


def outbox() -> Iterator[Metric]:
    """Tell what waits to be told outside."""
    now = timezone.now()
    waiting = gauge(
        "outbox_waiting", "Messages not delivered yet, later tries included.", "channel"
    )
    overdue = gauge("outbox_overdue_seconds", "How late the first of them is.", "channel")
    rows = Delivery.objects.exclude(next_at=None).order_by().values_list("channel")
    late = Min("next_at", filter=Q(next_at__lte=now))
    found = {row[0]: row[1:] for row in rows.annotate(number=Count("pk"), late=late)}
    for channel in Delivery.Channel.values:
        number, since = found.get(channel, (0, None))
        waiting.add_metric([channel], number)
        overdue.add_metric([channel], _age(since))
    yield from (waiting, overdue)
    failing = Webhook.objects.filter(active=True).exclude(failing_since=None).count()
    yield one("webhooks_failing", "Webhooks whose last try failed.", failing)


def trail() -> Iterator[Metric]:
    """Tell how long the audit trail is."""
    yield one("audit_entries", "Number of the newest entry.", audit.head()[0])


# Redis ------------------------------------------------------------------------------------------


def queues(link: redis.Redis) -> Iterator[Metric]:
    """Tell how many tasks wait for a worker, and how long the first of them has."""
    length = gauge("queue_length", "Tasks that wait for a worker.", "queue")
    age = gauge("queue_age_seconds", "How long the first of them has waited.", "queue")
    for queue in QUEUES:
        # What may wait lies in lists of its own, as kombu names them.
        lists = (queue, *(f"{queue}\x06\x16{priority}" for priority in (BEHIND, LATER)))
        length.add_metric([queue], sum(int(link.llen(name)) for name in lists))
        age.add_metric([queue], max(_waited(link.lindex(name, -1)) for name in lists))
    yield from (length, age)
    unacked: Any = link.hlen("unacked")
    yield one("tasks_taken", "Tasks that workers hold, those for later included.", unacked)


def _waited(message: Any) -> float:
    """Return how long a message has waited, by its ``sent_at`` (see celery.py)."""
    try:
        sent = float(json.loads(message)["headers"]["sent_at"])
    except (ValueError, KeyError, TypeError):
        return 0.0
    return max(0.0, time.time() - sent)


def streams(link: redis.Redis) -> Iterator[Metric]:
    """Tell how many pages are open, as each web process said within the last seconds."""
    said: Any = link.hgetall(STREAMS)
    known = {process: json.loads(value) for process, value in said.items()}
    fresh = [row for row in known.values() if time.time() - row["at"] < STREAMS_KNOWN_FOR]
    if gone := [process for process, row in known.items() if row not in fresh]:
        link.hdel(STREAMS, *gone)
    yield one("open_streams", "Open pages that hear of changes.", sum(r["open"] for r in fresh))
    yield one("stream_processes", "Web processes with pages or without.", len(fresh))


def counts(_link: redis.Redis) -> Iterator[Metric]:
    """Tell what was counted in all processes since Redis was last empty."""
    yield counter("upstream", "upstream_requests", "Questions to clouds.", "account service code")
    yield durations("upstream", "upstream_seconds", "How long clouds took to answer.", "service")
    yield counter("task-failed", "task_failures", "Tasks that ended by an error.", "task")
    yield counter("server-error", "server_errors", "Pages that answered 500.", "view")


def notifications(_link: redis.Redis) -> Iterator[Metric]:
    """Tell how the listener to Nova's notifications does, if there is to be one."""
    if not settings.NOVA_NOTIFICATIONS_URL:
        return
    known = ears.figures()
    what = "Whether Nova's notifications are listened to (1) or not (0)."
    yield one("listening", what, float(known.listening))
    for name, text, number in (
        ("notifications", "Notifications heard.", known.messages),
        ("notifications_bad", "Notifications not understood.", known.bad),
    ):
        yield CounterMetricFamily(PREFIX + name, text, value=number)
    if known.last_at is not None:
        yield one("notification_age_seconds", "Age of the last one.", time.time() - known.last_at)


def notes(_link: redis.Redis) -> Iterator[Metric]:
    """Tell when the sweeper and the trail's check last ran, and what that found."""
    if swept := tally.noted(SWEPT):
        yield one("swept_timestamp_seconds", "When the sweeper last ran.", swept["at"])
    if last := tally.noted(audit.VERIFIED):
        what = "When the audit trail was last verified."
        yield one("audit_verified_timestamp_seconds", what, last["at"])
        yield one("audit_whole", "Whether it was whole (1) or not (0).", last["whole"])


def counter(counted: str, name: str, what: str, labels: str) -> Metric:
    """Return the counts of ``teams.tally`` as a counter."""
    names = labels.split()
    family = CounterMetricFamily(PREFIX + name, what, labels=names)
    for given, count in tally.read(counted):
        family.add_metric([given.get(label, "") for label in names], count)
    return family


def durations(counted: str, name: str, what: str, label: str) -> Metric:
    """Return the durations of ``teams.tally`` as a histogram."""
    family = HistogramMetricFamily(PREFIX + name, what, labels=[label])
    sums = {given[label]: total for given, total in tally.read(f"{counted}:sum")}
    classes: dict[str, dict[str, float]] = {}
    for given, count in tally.read(f"{counted}:class"):
        classes.setdefault(given[label], {})[given["le"]] = count
    for value, found in classes.items():
        buckets, so_far = [], 0.0
        for bound in (*map(str, tally.BOUNDS), "+Inf"):
            so_far += found.get(bound, 0.0)
            buckets.append((bound, so_far))
        family.add_metric([value], buckets, sum_value=sums.get(value, 0.0))
    return family


# ------------------------------------------------------------------------------------------------

FROM_DATABASE: tuple[Callable[[], Iterable[Metric]], ...] = (
    rescues,
    work,
    accounts,
    outbox,
    trail,
)
FROM_REDIS: tuple[Callable[[redis.Redis], Iterable[Metric]], ...] = (
    queues,
    streams,
    notifications,
    counts,
    notes,
)


def _age(since: datetime | None) -> float:
    """Return how many seconds ago something was; nothing there is no age."""
    return max(0.0, (timezone.now() - since).total_seconds()) if since else 0.0
