"""The people side of the house: who may do what, with which cloud accounts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TeamsConfig(AppConfig):
    name = "teams"
    verbose_name = _("Teams")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to what allauth and Django tell of people."""
        from teams import notes, sessions  # noqa: F401 - they listen once imported
