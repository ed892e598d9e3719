"""The machine side of the house: the inventory, the rescue, the notification panel."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InstancesConfig(AppConfig):
    name = "instances"
    verbose_name = _("Instances")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to staff who begin or end to act for a customer."""
        from instances import hands  # noqa: F401 - it listens once imported
