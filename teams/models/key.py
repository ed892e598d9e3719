"""Public SSH keys of people and teams."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from teams.models.people import User
from teams.models.team import Team


class SSHKey(models.Model):
    """A public key: a person's, or a team's own."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="ssh_keys")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="ssh_keys")
    name = models.CharField(max_length=100)
    key_type = models.CharField(max_length=40)
    #: type and base64, without options and comment
    public_key = models.TextField()
    #: SHA256:… as ssh-keygen prints it
    fingerprint = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(user=None) ^ Q(team=None), name="key_of_a_person_or_a_team"
            ),
            models.UniqueConstraint(
                fields=["user", "fingerprint"], condition=Q(team=None), name="one_key_per_person"
            ),
            models.UniqueConstraint(
                fields=["team", "fingerprint"], condition=Q(user=None), name="one_key_per_team"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.fingerprint}"
