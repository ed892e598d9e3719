"""Answer the operator's questions: does it live, can it work, how does it do."""

from collections.abc import Callable, Iterator

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

WORKER_KEY = "rescuepanel:worker-seen"
WORKER_SEEN_WITHIN = 30


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def mark_worker_alive() -> None:
    """Note in Redis that a worker was seen just now."""
    try:
        with _redis() as client:
            client.set(WORKER_KEY, "1", ex=WORKER_SEEN_WITHIN)
    except redis.RedisError:
        return


@never_cache
def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether all that a rescue needs is there: database, broker, a worker seen lately."""
    checks = {name: check() for name, check in _CHECKS.items()}
    ready = all(problem == "ok" for problem in checks.values())
    if settings.NOVA_NOTIFICATIONS_URL:  # a listener that is away only means more questions
        checks["listener"] = _listener()
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _listener() -> str:
    from instances import ears

    return "ok" if ears.figures().listening else "not listening: clouds are asked as without it"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "the database does not answer"
    return "ok"


def _broker() -> str:
    try:
        with _redis() as client:
            client.ping()
    except redis.RedisError:
        return "Redis does not answer"
    return "ok"


def _worker() -> str:
    try:
        with _redis() as client:
            seen = client.exists(WORKER_KEY)
    except redis.RedisError:
        return "unknown: Redis does not answer"
    return "ok" if seen else f"no worker seen in the last {WORKER_SEEN_WITHIN} s"


_CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "broker": _broker,
    "worker": _worker,
}


class _PanelCollector(Collector):
    """Read the figures from the database at scrape: the same whichever process answers."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing ahead: registering must not query the database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; labels hold only our own words and ids."""
        yield self._open_rescues()
        yield self._mirror_age()
        if settings.NOVA_NOTIFICATIONS_URL:
            yield from self._listener()
        up = GaugeMetricFamily(
            "rescuepanel_up", "Whether a part answers (1) or not (0).", labels=["part"]
        )
        for name, check in _CHECKS.items():
            up.add_metric([name], float(check() == "ok"))
        yield up

    @staticmethod
    def _open_rescues() -> GaugeMetricFamily:
        from django.db.models import Count

        from instances.models import Rescue

        gauge = GaugeMetricFamily(
            "rescuepanel_open_rescues", "Rescues not ended, by state.", labels=["state"]
        )
        open_rows = Rescue.objects.filter(ended_at__isnull=True).order_by().values_list("state")
        for state, count in open_rows.annotate(count=Count("pk")):
            gauge.add_metric([str(state)], count)
        return gauge

    @staticmethod
    def _listener() -> Iterator[GaugeMetricFamily]:
        from instances import ears

        known = ears.figures()
        shown: dict[str, tuple[str, float]] = {
            "listening": ("Whether Nova's notifications are listened to.", float(known.listening)),
            "notifications": ("Notifications heard.", known.messages),
            "notifications_bad": ("Notifications not understood.", known.bad),
        }
        if known.last_at is not None:
            age = timezone.now().timestamp() - known.last_at
            shown["notification_age_seconds"] = ("Age of the last notification.", age)
        for name, (text, value) in shown.items():
            yield GaugeMetricFamily(f"rescuepanel_{name}", text, value=value)

    @staticmethod
    def _mirror_age() -> GaugeMetricFamily:
        from instances.models import CloudMirror

        gauge = GaugeMetricFamily(
            "rescuepanel_mirror_age_seconds",
            "Age of what we know of a cloud account.",
            labels=["account"],
        )
        now = timezone.now()
        for account, synced_at in CloudMirror.objects.values_list("account_id", "synced_at"):
            if synced_at:
                gauge.add_metric([str(account)], (now - synced_at).total_seconds())
        return gauge


_registry = CollectorRegistry(auto_describe=False)
_registry.register(_PanelCollector())


@never_cache
def metrics(_request: HttpRequest) -> HttpResponse:
    """Show the figures in Prometheus' text format."""
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)
