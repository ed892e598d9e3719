"""What people send: the start of a rescue, and what they decide while it lasts."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from instances import sessions
from instances.models import Rescue
from instances.rescue import Picker
from teams.models import Team, User


class Hours(forms.TypedChoiceField):
    """A length of time, one of those that are offered."""

    def __init__(self, **options: Any) -> None:
        wrong = {"invalid_choice": _("Pick one of the times in the list.")}
        super().__init__(coerce=int, empty_value=None, error_messages=wrong, **options)


class StartRescueForm(forms.Form):
    image = forms.CharField(
        max_length=64,
        error_messages={
            "required": _("Pick one of the images."),
            "max_length": _("Pick one of the images in the list."),
        },
    )
    idempotency_key = forms.UUIDField(
        error_messages={
            "required": _("This form is incomplete. Open it again."),
            "invalid": _("This form was changed on its way. Open it again."),
        }
    )

    reason = forms.CharField(
        label=_("Reason or ticket"),
        max_length=300,
        required=False,
        error_messages={"required": _("Say why: the team wants a reason or a ticket.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    hours = Hours(label=_("How long"), required=False)
    snapshot = forms.RegexField(
        r"^[\w .()-]+$",
        label=_("Name of a snapshot to take first"),
        help_text=_(
            "Left empty, none is taken. It takes minutes, and the cloud may charge for its storage."
        ),
        max_length=100,
        required=False,
        error_messages={"invalid": _("Use letters, digits, spaces and . - _ ( ) only.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, data: Any = None, *, team: Team) -> None:
        super().__init__(data)
        self.team = team
        reason, hours = self.fields["reason"], self.fields["hours"]
        reason.required = team.reason_required
        reason.widget.use_required_attribute = lambda _initial: False
        if team.reason_required:
            reason.widget.attrs["aria-required"] = "true"
        assert isinstance(hours, Hours)  # noqa: S101
        hours.choices = sessions.duration_choices(team)

    def clean_reason(self) -> str:
        """Return it on one line."""
        return " ".join(self.cleaned_data["reason"].split())

    @property
    def forged(self) -> bool:
        """Tell whether the part that people do not fill in was tampered with."""
        return "idempotency_key" in self.errors

    @property
    def forgery(self) -> str:
        return str(self.errors["idempotency_key"][0]) if self.forged else ""

    def selected(self, picker: Picker) -> str:
        """Return the image to tick: the one sent, if it can be used, else the best one."""
        sent: Any = self.data.get("image", "") if self.is_bound else ""
        if any(choice.ref == sent for choice in picker.choices):
            return str(sent)
        return picker.preselected.ref if picker.preselected else ""


class ExtendForm(forms.Form):
    hours = Hours(label=_("From now for"))

    def __init__(self, of: Rescue, by: User, data: Any = None) -> None:
        super().__init__(data)
        hours = self.fields["hours"]
        assert isinstance(hours, Hours)  # noqa: S101
        hours.choices = sessions.extension_choices(of, by)


class HandOverForm(forms.Form):
    to = forms.ModelChoiceField(
        User.objects.none(),
        label=_("To"),
        empty_label=None,
        error_messages={
            "required": _("Pick a colleague."),
            "invalid_choice": _("Pick one of the colleagues in the list."),
        },
    )

    def __init__(self, of: Rescue, data: Any = None) -> None:
        super().__init__(data)
        to = self.fields["to"]
        assert isinstance(to, forms.ModelChoiceField)  # noqa: S101
        to.queryset = User.objects.filter(pk__in=[person.pk for person in sessions.colleagues(of)])


class NoteForm(forms.Form):
    closing_note = forms.CharField(
        label=_("Closing note"),
        help_text=_("What was wrong, what was done. Your team reads it; leave passwords out."),
        max_length=sessions.NOTE_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
    )
