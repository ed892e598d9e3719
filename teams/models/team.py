"""Teams, who is in them, and what they decided."""

from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from teams.models.people import User
from teams.permissions import PasswordReaders, Right, Role, roles_with


class TeamQuerySet(models.QuerySet["Team"]):
    def of(self, user: Any, right: Right = Right.LOOK) -> "TeamQuerySet":
        """Keep the teams in which somebody has a right; none for an anonymous visitor."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(
            memberships__user=user,
            memberships__role__in=roles_with(right, acted_by=user.acted_by),
        ).distinct()


class Team(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    # What the team decided about its rescues
    auto_show_password = models.BooleanField(
        default=True, help_text=_("Show a temporary password by itself to the one who asked.")
    )
    password_readers = models.CharField(
        max_length=10, choices=PasswordReaders.choices, default=PasswordReaders.MEMBERS
    )
    reason_required = models.BooleanField(default=False)
    #: hours a rescue may last; None: as long as it takes
    rescue_hours = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(24 * 14)]
    )
    exits_by_itself = models.BooleanField(default=False)
    #: hours in rescue after which the team is reminded, and again after as many
    remind_hours = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(1), MaxValueValidator(24 * 14)]
    )
    #: names or ids of the only images to rescue with; empty: any suitable one
    allowed_images = models.JSONField(default=list, blank=True)

    objects = TeamQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class MailAbout(models.TextChoices):
    MINE = "mine", _("rescues I asked for or hold")
    ALL = "all", _("all rescues of the team")
    NONE = "none", _("nothing")


class Membership(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    mail_about = models.CharField(max_length=10, choices=MailAbout.choices, default=MailAbout.MINE)
    joined_at = models.DateTimeField(auto_now_add=True, null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "user"], name="one_role_per_team"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}: {self.role}"
