"""Forms of the repairs: what a person says before the panel looks."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from instances.models import Rescue
from instances.recovery import jobs
from teams import ssh_keys
from teams.models import Team, User
from teams.refusals import Refused


def user_field(rescue: Rescue) -> forms.Field:
    """Return a field for a user of the old system: a list where its passwd could be read."""
    label = _("User on the instance")
    names = jobs.users_seen(rescue)
    if names:
        wrong = {"invalid_choice": _("Pick one of the users in the list.")}
        return forms.ChoiceField(
            label=label, choices=[(name, name) for name in names], error_messages=wrong
        )
    return forms.RegexField(
        r"^[a-z_][a-z0-9_.-]{0,31}\$?$", label=label, max_length=32,
        error_messages={"invalid": _("That is not a user’s name.")},
    )  # fmt: skip


class RepairForm(forms.Form):
    """What a repair needs to know; ``params`` are kept in clear, ``private`` sealed."""

    def __init__(self, data: Any = None, *, rescue: Rescue, user: User) -> None:
        super().__init__(data)
        self.rescue, self.user = rescue, user
        self.set_up()

    def set_up(self) -> None:
        """Give the fields what depends on the rescue and the person."""

    def params(self) -> dict[str, Any]:
        return dict(self.cleaned_data)

    def private(self) -> dict[str, Any]:
        return {}


class PutKeyBackForm(RepairForm):
    known = forms.ChoiceField(label=_("SSH key"), required=False)
    pasted = forms.CharField(
        label=_("Another public key"),
        help_text=_("A line of a file that ends in .pub, like “ssh-ed25519 AAAA… name”."),
        widget=forms.Textarea(attrs={"class": "code", "rows": 3, "spellcheck": "false"}),
        max_length=ssh_keys.LONGEST,
        required=False,
    )

    def set_up(self) -> None:
        self.fields = {"user": user_field(self.rescue), **self.fields}
        person = self.user.acted_by or self.user
        owners: list[User | Team] = [person, self.rescue.instance.team]
        self.keys = {str(key.pk): key for owner in owners for key in ssh_keys.keys_of(owner)}
        known = self.fields["known"]
        assert isinstance(known, forms.ChoiceField)  # noqa: S101
        known.choices = [(pk, f"{key.name} · {key.fingerprint}") for pk, key in self.keys.items()]
        known.choices = [*known.choices, ("", _("The key pasted below"))]
        if not self.keys:
            del self.fields["known"]

    def clean(self) -> dict[str, Any]:
        """Find the one key that is meant."""
        cleaned = super().clean() or {}
        pasted, known = cleaned.pop("pasted", ""), cleaned.pop("known", "")
        if pasted:
            try:
                read = ssh_keys.parse(pasted)
            except Refused as problem:
                self.add_error("pasted", str(problem))
                return cleaned
            cleaned |= {"public_key": read.text, "key_name": read.comment or "rescue"}
        elif known:
            key = self.keys[known]
            cleaned |= {"public_key": key.public_key, "key_name": key.name}
        elif "pasted" not in self.errors:
            self.add_error("pasted", _("Pick a key, or paste one."))
        name = "".join(sign for sign in cleaned.get("key_name", "") if sign.isprintable())
        return cleaned | {"key_name": " ".join(name.split())[:100]}


FORMS: dict[str, type[RepairForm]] = {"ssh_key": PutKeyBackForm}
