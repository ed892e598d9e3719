"""Give every template the few facts of the installation it may show."""

from django.conf import settings
from django.http import HttpRequest


def flags(_request: HttpRequest) -> dict[str, bool]:
    """Tell templates whether this is the demo."""
    return {"DEMO": settings.DEMO}
