"""Users of a cloud who sign in with the cloud's own password."""

from typing import ClassVar

from django.db import models

from teams.models.people import User


class CloudPerson(models.Model):
    """Who a user of one Keystone is here; ids are the Keystone's own, so its address is a part."""

    keystone = models.CharField(max_length=300)
    user_id = models.CharField(max_length=255)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="cloud_people")
    #: as Keystone told it last: names change, the id stays
    name = models.CharField(max_length=255)
    domain = models.CharField(max_length=255)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["keystone", "user_id"], name="one_person_per_cloud_user"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.domain})"
