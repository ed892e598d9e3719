"""People, teams, their cloud accounts, and what was done by whom."""

import json
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from teams import secrets
from teams.permissions import Right, Role, may, roles_with


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a person who signs in with an e-mail address."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make an operator (``manage.py createsuperuser`` calls this)."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    objects = UserManager()

    def __str__(self) -> str:
        return self.name or self.email

    def role_in(self, team: "Team") -> str | None:
        """Return the person's role in a team; None for an outsider."""
        membership = Membership.objects.filter(user=self, team=team).only("role").first()
        return membership.role if membership else None

    def may(self, right: Right, team: "Team") -> bool:
        """Tell whether the person has a right in a team."""
        role = self.role_in(team)
        return self.is_active and role is not None and may(role, right)


class TeamQuerySet(models.QuerySet["Team"]):
    def of(self, user: Any, right: Right = Right.LOOK) -> "TeamQuerySet":
        """Keep the teams in which somebody has a right; none for an anonymous visitor."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(
            memberships__user=user, memberships__role__in=roles_with(right)
        ).distinct()


class Team(models.Model):
    name = models.CharField(max_length=100, unique=True)
    auto_show_password = models.BooleanField(
        default=True, help_text=_("Show a temporary password by itself to the one who asked.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    objects = TeamQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "user"], name="one_role_per_team"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}: {self.role}"


class CloudAccount(models.Model):
    """A project on an OpenStack cloud, in one region, and the sealed credential that opens it."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="cloud_accounts")
    name = models.CharField(max_length=100)
    region_name = models.CharField(max_length=100, blank=True)
    auth_url = models.URLField(max_length=500)
    sealed_credential = models.TextField(editable=False)
    credential_version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

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


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """The ways round ``save`` and ``delete`` are closed too; bulk updates come by here."""

    def update(self, **changes: Any) -> int:
        raise ValidationError("An audit entry is never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise ValidationError("An audit entry is never deleted.")


class AuditEntry(models.Model):
    """One act, by one person, on one thing. Written once, never changed."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    acting_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    act = models.CharField(max_length=60)
    target = models.CharField(max_length=300)
    details = models.JSONField(default=dict)
    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        indexes: ClassVar = [models.Index(fields=["team", "-at"])]

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor or 'the panel'}: {self.act} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise ValidationError("An audit entry is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ValidationError("An audit entry is never deleted.")
