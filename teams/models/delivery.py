"""What a team is told outside the panel: webhooks, mail, and the log of both."""

import uuid
from typing import ClassVar

from django.db import models

from teams.models.people import User
from teams.models.team import Team


class Webhook(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    #: signs what is sent; shown once
    sealed_secret = models.TextField(editable=False)
    #: names of the events it wants; empty: all
    events = models.JSONField(default=list, blank=True)
    active = models.BooleanField(default=True)
    #: of the first failure after the last success
    failing_since = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One message on its way: the outbox, and afterwards the log. Holds no secret."""

    class Channel(models.TextChoices):
        MAIL = "mail"
        WEBHOOK = "webhook"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel.choices)
    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries"
    )
    recipient = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    event = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)
    #: the same event to the same receiver is told once
    told_once = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField()
    #: None: delivered, or given up
    next_at = models.DateTimeField(null=True, db_index=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    http_status = models.PositiveSmallIntegerField(null=True)
    problem = models.CharField(max_length=200, blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"
