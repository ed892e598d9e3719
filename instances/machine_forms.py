"""Forms of the repairs: what a person says before the panel looks."""

from typing import Any

from django import forms
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from instances.disks import Disks, Volume
from instances.models import Machine, Rescue
from instances.passwords import make_password
from instances.recovery import jobs, texts
from instances.recovery.changes import clean
from instances.recovery.repairs import check
from instances.recovery.work import CannotDo
from teams import ssh_keys
from teams.models import Team, User
from teams.refusals import Refused

SHORTEST, LONGEST = 8, 128  # signs of a password
USUAL_FILES = (
    "/etc/fstab", "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/50-cloud-init.conf",
    "/etc/netplan/50-cloud-init.yaml", "/etc/network/interfaces",
    "/etc/network/interfaces.d/50-cloud-init", "/etc/cloud/cloud.cfg", "/etc/default/grub",
    "/etc/hosts", "/etc/resolv.conf", "/etc/sudoers",
)  # fmt: skip


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


class SetPasswordForm(RepairForm):
    chosen = forms.CharField(
        label=_("New password"),
        help_text=_("Leave it empty to have one made; it is shown to you once, when it is set."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        min_length=SHORTEST, max_length=LONGEST, required=False, strip=False,
    )  # fmt: skip
    again = forms.CharField(
        label=_("New password, again"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        required=False, strip=False,
    )  # fmt: skip

    def set_up(self) -> None:
        self.fields = {"user": user_field(self.rescue), **self.fields}

    def clean_chosen(self) -> str:
        chosen = str(self.cleaned_data["chosen"])
        if not chosen.isprintable() or chosen != chosen.strip():
            raise forms.ValidationError(
                _("It may hold letters, digits, signs and spaces, but no space at its ends.")
            )
        return chosen

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "chosen" not in self.errors and cleaned.get("chosen") != cleaned.get("again"):
            self.add_error("again", _("The two are not the same."))
        return cleaned

    def params(self) -> dict[str, Any]:
        return {"user": self.cleaned_data["user"]}

    def private(self) -> dict[str, Any]:
        chosen = self.cleaned_data["chosen"]
        return {"password": chosen} if chosen else {"password": make_password(), "made": True}


class CheckForm(RepairForm):
    device = forms.ChoiceField(label=_("File system"))
    whole = forms.TypedChoiceField(
        label=_("What is mended"),
        choices=[
            ("", _("What is safe: nothing can be lost by it (e2fsck -p)")),
            ("1", _("Everything: damaged files may lose their names or parts (e2fsck -y)")),
        ],
        help_text=_("For ext2, ext3 and ext4. Other tools know one way only."),
        widget=forms.RadioSelect, coerce=bool, required=False,
    )  # fmt: skip

    def set_up(self) -> None:
        row = Machine.objects.filter(rescue=self.rescue).first()
        seen = row.disks if row else None
        device = self.fields["device"]
        assert isinstance(device, forms.ChoiceField)  # noqa: S101
        found = check.usable(seen) if seen else []
        device.choices = [(one.path, _volume_label(one, seen)) for one in found if seen]
        if not found:
            device.help_text = _(
                "No file system that can be checked was seen. Look at the disks first."
            )


def _volume_label(volume: Volume, seen: Disks) -> str:
    words = [volume.path, filesizeformat(volume.size), volume.fstype, volume.label]
    if check.is_busy(volume, seen):
        words.append(str(_("mounted: unmount it first")))
    return " · ".join(filter(None, words))


class TakeOutLineForm(RepairForm):
    """Nothing has to be known to read the fstab."""


class OpenFileForm(RepairForm):
    path = forms.CharField(
        label=_("File"),
        help_text=_("As it is called on the instance’s own system, like /etc/hosts."),
        widget=forms.TextInput(attrs={"list": "usual-files", "spellcheck": "false",
                                      "autocapitalize": "off", "class": "code"}),
        max_length=500,
    )  # fmt: skip
    #: offered for picking
    usual = USUAL_FILES

    def clean_path(self) -> str:
        try:
            return clean(self.cleaned_data["path"])
        except CannotDo:
            raise forms.ValidationError(
                _("A path begins with a slash and has no “..” in it.")
            ) from None


class NextForm(forms.Form):
    """What is said to what a look has shown (``asks``); it begins a new look of the same kind."""

    def __init__(self, data: Any = None, *, asks: dict[str, Any]) -> None:
        super().__init__(data)
        self.asks = asks
        self.set_up()

    def set_up(self) -> None:
        """Give the fields what depends on what was seen."""

    def params(self) -> dict[str, Any]:
        raise NotImplementedError

    def private(self) -> dict[str, Any]:
        return {}


class PickLineForm(NextForm):
    line = forms.TypedChoiceField(
        label=_("Line"), coerce=int, widget=forms.RadioSelect,
        error_messages={"required": _("Pick a line."), "invalid_choice": _("Pick a line.")},
    )  # fmt: skip
    template = "_job_fstab"

    def set_up(self) -> None:
        field = self.fields["line"]
        assert isinstance(field, forms.TypedChoiceField)  # noqa: S101
        field.choices = [(row["number"], "") for row in self.asks["rows"] if not row["root"]]

    def params(self) -> dict[str, Any]:
        return {"line": self.cleaned_data["line"], "seen": self.asks["seen"]}


class EditForm(NextForm):
    text = forms.CharField(
        label=_("Content"), required=False, strip=False, max_length=2 * texts.LARGEST,
        widget=forms.Textarea(attrs={"class": "code", "rows": 20, "spellcheck": "false",
                                     "autocapitalize": "off", "autocomplete": "off",
                                     "wrap": "off"}),
    )  # fmt: skip
    template = "_job_edit"

    def set_up(self) -> None:
        self.initial = {"text": self.asks["text"]}

    def params(self) -> dict[str, Any]:
        return {"path": self.asks["path"], "seen": self.asks["seen"]}

    def private(self) -> dict[str, Any]:
        return {"text": self.cleaned_data["text"]}


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


FORMS: dict[str, type[RepairForm]] = {
    "ssh_key": PutKeyBackForm,
    "password": SetPasswordForm,
    "fstab": TakeOutLineForm,
    "edit": OpenFileForm,
    "check": CheckForm,
}
#: the second question of the repairs that have to look before they can ask it
NEXT: dict[str, type[NextForm]] = {"fstab": PickLineForm, "edit": EditForm}
