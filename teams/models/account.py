"""A team's cloud accounts."""

import json
from typing import Any, ClassVar

from django.db import models

from teams import secrets
from teams.models.team import Team


class CloudAccountQuerySet(models.QuerySet["CloudAccount"]):
    def connected(self) -> "CloudAccountQuerySet":
        """Keep those that have not been disconnected."""
        return self.filter(disconnected_at=None)


class CloudAccount(models.Model):
    """A project on an OpenStack cloud, in one region, and the sealed credential that opens it."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="cloud_accounts")
    name = models.CharField(max_length=100)
    region_name = models.CharField(max_length=100, blank=True)
    auth_url = models.URLField(max_length=500)
    sealed_credential = models.TextField(editable=False)
    credential_version = models.PositiveIntegerField(default=0, editable=False)
    #: when the credential ends by itself, as far as the cloud told
    credential_expires_at = models.DateTimeField(null=True)
    rotated_at = models.DateTimeField(null=True)
    #: what the last test found, see instances.accounts
    findings = models.JSONField(default=list)
    tested_at = models.DateTimeField(null=True)
    #: networks beyond public ones where its machines may be reached: the operator's word
    machine_networks = models.CharField(max_length=500, blank=True)
    machine_port = models.PositiveIntegerField(default=22)
    #: where no config drive carries it: a salted hash of the temporary password may be put into a
    #: server's metadata for the time of a rescue
    password_by_metadata = models.BooleanField(default=False)
    disconnected_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CloudAccountQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="one_account_per_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def _binding(self) -> str:
        return f"teams.CloudAccount:{self.pk}:credential"

    def keep_credential(self, credential: dict[str, Any]) -> None:
        """Seal and save what opens the cloud: auth_type, auth and options as in clouds.yaml."""
        if self.pk is None:
            self.save()
        self.sealed_credential = secrets.seal(json.dumps(credential), bound_to=self._binding)
        self.credential_version += 1
        self.save(update_fields=["sealed_credential", "credential_version"])

    def credential(self) -> dict[str, Any]:
        """Open the credential; raise ``secrets.CannotOpen`` when the key is gone."""
        opened: dict[str, Any] = json.loads(
            secrets.unseal(self.sealed_credential, bound_to=self._binding)
        )
        return opened
