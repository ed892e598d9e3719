"""What a cloud says was done to a server, as it was last asked."""

from django.db import models

from instances.models.mirror import Instance


class CloudHistory(models.Model):
    """Nova's own actions on one server; read when somebody wants to see them."""

    instance = models.OneToOneField(
        Instance, on_delete=models.CASCADE, related_name="cloud_history"
    )
    #: request_id, action, user_id, at and failed of each, newest first
    acts = models.JSONField(default=list)
    asked_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=20, blank=True)

    def __str__(self) -> str:
        return f"history of {self.instance}"
