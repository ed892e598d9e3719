"""Keep the images of an account; a Glance that is down does not hold up the servers."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from instances import pace
from instances.cloud import Cloud, CloudError
from instances.cloud import Image as Shown
from instances.models import CloudMirror, Image

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
COLUMNS = tuple(
    "name status visibility owner hidden disk_format min_ram size tags properties".split()
)


def read_if_due(mirror: CloudMirror, cloud: Cloud, now: datetime) -> dict[str, Any]:
    """Read the images now and then; return the mirror's columns that tell of it."""
    if mirror.images_next_at and mirror.images_next_at > now:
        return {}
    try:
        _replace(mirror, cloud.images())
    except CloudError as error:
        logger.warning("account %s: images: %s", mirror.account_id, error.kind)
        wait = pace.back_off(3, retry_after=error.retry_after)
        return {"images_problem": error.kind, "images_next_at": now + timedelta(seconds=wait)}
    wait = pace.spread(EVERY.total_seconds())
    next_at = now + timedelta(seconds=wait)
    return {"images_problem": "", "images_at": now, "images_next_at": next_at}


def _replace(mirror: CloudMirror, shown: list[Shown]) -> None:
    """Replace the account's images with what Glance lists."""
    rows = [
        Image(
            account=mirror.account,
            image_id=image.image_id,
            cloud_updated_at=image.updated_at,
            **{name: getattr(image, name) for name in COLUMNS},
        )
        for image in shown
    ]
    with transaction.atomic():
        mirror.account.images.exclude(image_id__in=[row.image_id for row in rows]).delete()
        Image.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["account", "image_id"],
            update_fields=[*COLUMNS, "cloud_updated_at"],
        )  # fmt: skip
