"""People who sign in, and staff who act for them."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.utils.translation import gettext_lazy as _

from teams.permissions import Right, may, roles_with

if TYPE_CHECKING:
    from teams.models.team import Membership, Team


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

    #: the staff member behind this person in this request; set by the middleware, never saved
    acted_by: "User | None" = None

    def __str__(self) -> str:
        return self.name or self.email

    def role_in(self, team: "Team") -> str | None:
        """Return the person's role in a team; None for an outsider."""
        membership = team.memberships.filter(user=self).only("role").first()
        return membership.role if membership else None

    @cached_property
    def places(self) -> "list[Membership]":
        """The person's memberships with their teams, by name; asked for once in a request."""
        return list(self.memberships.select_related("team").order_by("team__name"))

    def teams_with(self, right: Right) -> "list[Team]":
        """List the teams in which the person, or who acts for the person, has a right."""
        roles = roles_with(right, acted_by=self.acted_by)
        return [place.team for place in self.places if place.role in roles]

    def may(self, right: Right, team: "Team") -> bool:
        """Tell whether the person, or the staff member acting for the person, has a right."""
        role = self.role_in(team)
        return self.is_active and role is not None and may(role, right, acted_by=self.acted_by)


class Impersonation(models.Model):
    """A staff member acting for a customer: why, from when, until when at the latest."""

    staff = models.ForeignKey(User, on_delete=models.PROTECT, related_name="impersonations")
    customer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="impersonated")
    reason = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["customer", "-started_at"])]

    def __str__(self) -> str:
        return f"{self.staff} for {self.customer}"
