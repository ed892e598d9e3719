"""What people send to begin a bulk action, after they have reviewed it."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from instances.bulk.review import Review
from instances.forms import StartRescueForm


class PaceForm(forms.Form):
    """How many at once in a cloud account, and after how many failures to hold."""

    at_once = forms.IntegerField(label=_("How many at once in a cloud account"))
    stop_after = forms.IntegerField(
        label=_("Hold after so many failures"),
        help_text=_("Those on their way go on; the others wait until somebody decides."),
        min_value=1,
        max_value=500,
        initial=3,
    )

    def __init__(self, data: Any = None, *, review: Review) -> None:
        super().__init__(data)
        self.review = review
        most = settings.BATCH_AT_ONCE
        at_once = self.fields["at_once"]
        self.fields["at_once"] = forms.IntegerField(
            label=at_once.label,
            help_text=_("At most {most}.").format(most=most),
            min_value=1,
            max_value=most,
            initial=min(5, most),
        )

    def choices(self) -> dict[str, Any]:
        """Return what the use case wants."""
        return {name: self.cleaned_data[name] for name in ("at_once", "stop_after")}


class StartManyForm(PaceForm):
    """The same as for one rescue, with an image for each cloud account."""

    snapshot = forms.RegexField(
        r"^[\w .()-]+$",
        label=_("Name of a snapshot to take of each first"),
        help_text=_(
            "Left empty, none is taken. The instance’s id is added to the name. It takes minutes, "
            "and the cloud may charge for its storage."
        ),
        max_length=80,
        required=False,
        error_messages={"invalid": _("Use letters, digits, spaces and . - _ ( ) only.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, data: Any = None, *, review: Review) -> None:
        super().__init__(data, review=review)
        one = StartRescueForm(team=review.batch.team)
        self.fields |= {name: one.fields[name] for name in ("reason", "hours")}
        for group in review.accounts:
            wrong = _("Pick one of the images.")
            self.fields[group.field] = forms.ChoiceField(
                choices=[(offer.ref, offer.name) for offer in group.offers],
                required=bool(group.offers),  # without any, they are skipped with the reason
                error_messages={"required": wrong, "invalid_choice": wrong},
            )

    def clean_reason(self) -> str:
        """Return it on one line."""
        return " ".join(self.cleaned_data["reason"].split())

    def choices(self) -> dict[str, Any]:
        """Return what the use case wants."""
        images = {
            str(group.account.pk): self.cleaned_data[group.field] for group in self.review.accounts
        }
        names = ("reason", "hours", "snapshot")
        return (
            super().choices()
            | {name: self.cleaned_data[name] for name in names}
            | {"images": images}
        )

    def selected(self, group: Any) -> str:
        """Return the image to tick of an account: the one sent, else the best one."""
        sent = str(self.data.get(group.field, "")) if self.is_bound else ""
        if any(offer.ref == sent for offer in group.offers):
            return sent
        return group.offers[0].ref if group.offers else ""


def form_for(review: Review, data: Any = None) -> PaceForm:
    """Return the form of a draft's kind."""
    kind = StartManyForm if review.batch.is_start else PaceForm
    return kind(data, review=review)
