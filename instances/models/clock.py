"""One clock for all machines that write: the database's."""

from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone


def now() -> datetime:
    """Return the database's time; SQLite has none of its own, it lives on this machine."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (stamp,) = cursor.fetchone()
    moment: datetime = stamp
    return moment.astimezone(UTC)
