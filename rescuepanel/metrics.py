"""Show Prometheus the figures, if the operator allows it: by address, by a token, or by both."""

import ipaddress
from collections.abc import Iterator
from hmac import compare_digest

import redis
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from . import figures, health


class Panel(Collector):
    """All figures that can be had; those of a database or Redis that is away are left out."""

    def describe(self) -> list[Metric]:
        """Name nothing ahead: registering must not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what can be read now; ``rescuepanel_up`` tells why the rest is missing."""
        yield from figures.parts()
        try:
            for read in figures.FROM_DATABASE:
                yield from list(read())
        except DatabaseError:
            pass
        try:
            with health.redis_link() as link:
                for ask in figures.FROM_REDIS:
                    yield from list(ask(link))
        except redis.RedisError:
            pass


_registry = CollectorRegistry(auto_describe=False)
_registry.register(Panel())


@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Show the figures in Prometheus' text format; 404 unless a setting opens this address."""
    if not settings.METRICS_TOKEN and not settings.METRICS_NETWORKS:
        raise Http404
    if settings.METRICS_NETWORKS and not _from_there(request):
        return HttpResponseForbidden("METRICS_NETWORKS does not hold this address.\n")
    if settings.METRICS_TOKEN and not _with_token(request):
        answer = HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=401)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)


def _from_there(request: HttpRequest) -> bool:
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in settings.METRICS_NETWORKS)


def _with_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    right = compare_digest(given.strip().encode(), settings.METRICS_TOKEN.encode())
    return right and scheme.lower() == "bearer"
