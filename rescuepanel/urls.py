"""Route: health and language here, pages in their apps."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path
from django.views.i18n import set_language

from instances import admin as _machines  # noqa: F401 - it registers its pages
from teams.admin import site
from teams.gates import open_to_staff

from . import health, metrics


def _pages(module: str) -> list[URLResolver]:
    return [path("", include(module))] if find_spec(module) else []


urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("language", open_to_staff(set_language), name="set_language"),
    *_pages("teams.urls"),
    *_pages("teams.account_urls"),
    *_pages("instances.urls"),
    path("admin/", site.urls),
]
