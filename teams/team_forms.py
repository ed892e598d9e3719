"""What people send about teams: names, members, invitations, keys, settings."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from teams.models import Team
from teams.permissions import PasswordReaders, Role

NEEDED = {"required": _("This is needed.")}


class OneLine(forms.CharField):
    """A name: white space is made one blank, what cannot be seen is refused."""

    def to_python(self, value: Any) -> str:
        return " ".join(str(super().to_python(value) or "").split())

    def validate(self, value: Any) -> None:
        super().validate(value)
        if not str(value).isprintable():
            raise forms.ValidationError(_("Leave out characters that cannot be seen."))


class TeamForm(forms.Form):
    name = OneLine(
        label=_("Name"),
        max_length=100,
        help_text=_("As your colleagues know it. It can be changed later."),
        error_messages=NEEDED,
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, widget=forms.RadioSelect)


class InvitationForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.MEMBER)
    language = forms.ChoiceField(label=_("Language of the mail"), choices=settings.LANGUAGES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].initial = get_language()


class KeyForm(forms.Form):
    public_key = forms.CharField(
        label=_("Public key"),
        # Long enough that a private key pasted by mistake is met with its own warning.
        max_length=100_000,
        help_text=_("The one line in the file that ends in .pub. Never the private key."),
        error_messages=NEEDED,
        widget=forms.Textarea(
            attrs={"class": "code", "rows": 4, "spellcheck": "false", "autocomplete": "off",
                   "placeholder": "ssh-ed25519 AAAA… alice@laptop"}
        ),
    )  # fmt: skip
    name = OneLine(
        label=_("Name"),
        max_length=100,
        required=False,
        help_text=_("Left empty, the comment at the end of the key."),
    )

    def forget_key(self) -> None:
        """Drop what was pasted, so that no page repeats it."""
        self.data = {"name": self.data.get("name", "")}


class SettingsForm(forms.Form):
    name = OneLine(label=_("Name of the team"), max_length=100, error_messages=NEEDED)
    password_readers = forms.ChoiceField(
        label=_("Who may read a temporary password"),
        choices=PasswordReaders.choices,
        widget=forms.RadioSelect,
    )
    auto_show_password = forms.BooleanField(
        label=_("Show a temporary password by itself"),
        help_text=_("Once, to the one who asked, when the instance is ready."),
        required=False,
    )
    reason_required = forms.BooleanField(
        label=_("Ask for a reason"),
        help_text=_("Whoever starts a rescue must say why: a ticket, say."),
        required=False,
    )
    rescue_hours = forms.IntegerField(
        label=_("Time limit of a rescue, in hours"),
        help_text=_("Empty: as long as it takes. 336 hours at most."),
        min_value=1,
        max_value=24 * 14,
        required=False,
    )
    exits_by_itself = forms.BooleanField(
        label=_("Exit by itself when the time is over"),
        help_text=_("Otherwise the team is only reminded."),
        required=False,
    )
    remind_hours = forms.IntegerField(
        label=_("Remind after, in hours"),
        help_text=_("Who is still in rescue is reminded after as many hours, and again."),
        min_value=1,
        max_value=24 * 14,
        error_messages=NEEDED,
    )
    allowed_images = forms.MultipleChoiceField(
        label=_("Allowed rescue images"),
        help_text=_("None ticked or typed: every image that suits the instance."),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    other_images = forms.CharField(
        label=_("Other images, by name or id, one on each line"),
        max_length=4000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )

    def __init__(self, team: Team, known_images: list[str], data: Any = None) -> None:
        allowed = team.allowed_images
        others = [name for name in allowed if name not in known_images]
        shown = {name: getattr(team, name) for name in self.base_fields if hasattr(team, name)}
        super().__init__(data, initial=shown | {"other_images": "\n".join(others)})
        images = self.fields["allowed_images"]
        assert isinstance(images, forms.MultipleChoiceField)  # noqa: S101
        images.choices = [(name, format_html("<bdi>{}</bdi>", name)) for name in known_images]
        if not known_images:
            del self.fields["allowed_images"]
            self.fields["other_images"].label = _("Allowed rescue images, one on each line")

    def clean_other_images(self) -> list[str]:
        """Return the names typed, one a line."""
        lines = [" ".join(line.split()) for line in self.cleaned_data["other_images"].splitlines()]
        names = list(dict.fromkeys(filter(None, lines)))
        if any(len(name) > 255 for name in names) or len(names) > 100:
            raise forms.ValidationError(_("Name 100 images at most, with 255 characters each."))
        return names

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        limited = "rescue_hours" in self.errors or cleaned.get("rescue_hours")
        if cleaned.get("exits_by_itself") and not limited:
            self.add_error("rescue_hours", _("Say after how many hours a rescue exits."))
        return cleaned

    @property
    def decided(self) -> dict[str, Any]:
        """Return the settings by the names of the team's columns."""
        given = {key: value for key, value in self.cleaned_data.items() if key != "name"}
        others = given.pop("other_images", [])
        given["allowed_images"] = sorted({*given.get("allowed_images", []), *others})
        return given
