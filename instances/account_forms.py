"""Forms about cloud accounts. What is secret in them is taken, and never drawn again."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from instances import credentials
from instances.credentials import MISSING, MOST_CHARACTERS, CannotRead, Given


class WriteOnly(forms.Textarea):
    """A field for a text with a secret in it: empty however often it is drawn."""

    def format_value(self, value: Any) -> None:
        """Show nothing."""


def _secret(label: Any, help_text: Any = "") -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "off"})
    return forms.CharField(
        label=label, help_text=help_text, widget=widget, max_length=2000, required=False,
        strip=False,
    )  # fmt: skip


def _plain(label: Any, most: int, help_text: Any = "") -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(
        label=label, help_text=help_text, widget=widget, max_length=most, required=False
    )


def _pasted(label: Any) -> forms.CharField:
    attrs = {"class": "code", "rows": 8, "autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(
        label=label, widget=WriteOnly(attrs), max_length=MOST_CHARACTERS, required=False,
        strip=False,
    )  # fmt: skip


def _file() -> forms.FileField:
    return forms.FileField(
        label=_("or its file"), required=False, allow_empty_file=True, max_length=255
    )


class NameForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("How your team calls it, such as “Production GRA”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class MetadataForm(forms.Form):
    permitted = forms.BooleanField(
        label=_("Put a hash of the temporary password into the instance’s metadata"), required=False
    )


class CredentialForm(forms.Form):
    """One credential, given in one of three ways; ``given`` is what was read."""

    WAYS = (
        ("application", _("An application credential, field by field")),
        ("clouds_yaml", _("A clouds.yaml")),
        ("openrc", _("An openrc file")),
    )
    FIELDS = {
        "application": (
            "auth_url", "application_credential_id", "application_credential_secret",
        ),
        "clouds_yaml": ("clouds_yaml", "clouds_file", "cloud", "clouds_secret"),
        "openrc": ("openrc", "openrc_file", "openrc_secret"),
    }  # fmt: skip

    way = forms.ChoiceField(
        label=_("What do you have?"),
        choices=WAYS,
        initial="application",
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the three.")},
    )
    auth_url = _plain(
        _("Address of Keystone"), 500, _("Called auth_url, such as https://auth.example.org/v3.")
    )
    application_credential_id = _plain(_("ID"), 200)
    application_credential_secret = _secret(
        _("Secret"), _("Shown by your cloud once, when the credential is made.")
    )
    clouds_yaml = _pasted(_("Text of the clouds.yaml"))
    clouds_file = _file()
    cloud = _plain(_("Which of its clouds"), 200, _("Only if it has several."))
    clouds_secret = _secret(_("Secret or password"), _("Only if the text leaves it out."))
    openrc = _pasted(_("Text of the openrc"))
    openrc_file = _file()
    openrc_secret = _secret(
        _("Password"), _("OpenStack’s own openrc asks for it in the terminal: type it here.")
    )
    region_name = _plain(
        _("Region"), 100, _("Leave it empty if you do not know: the panel asks the cloud.")
    )

    given: Given

    def clean(self) -> dict[str, Any]:
        """Read the credential the way that was chosen."""
        data: dict[str, Any] = super().clean() or {}
        way = data.get("way")
        if way and not self.errors:
            try:
                given = getattr(self, f"_read_{way}")(data)
            except CannotRead as problem:
                self.add_error(self.FIELDS[way][0], str(problem.sentence))
            else:
                self._take(way, given, data)
        return data

    def _take(self, way: str, given: Given | None, data: dict[str, Any]) -> None:
        """Keep what was read, or say what is missing where it can be typed."""
        if given is None:
            return
        for name in given.missing:
            if way == "application":
                self.add_error(name, str(_("Fill this in.")))
                continue
            typed = name in ("application_credential_secret", "password")
            self.add_error(self.FIELDS[way][-1 if typed else 0], str(MISSING[name]))
        region = data.get("region_name") or given.region_name
        self.given = Given(given.credential, region)

    def _read_application(self, data: dict[str, Any]) -> Given:
        fields = [data.get(name, "") for name in self.FIELDS["application"]]
        return credentials.from_fields(*fields)

    def _read_clouds_yaml(self, data: dict[str, Any]) -> Given | None:
        text = self._text(data, "clouds_yaml", "clouds_file")
        found = credentials.clouds_in(text)
        wanted = data.get("cloud", "").strip()
        if wanted not in found and (len(found) > 1 or wanted):
            self._offer(list(found)[:100])
            return None
        cloud = found[wanted or next(iter(found))]
        return credentials.from_cloud(cloud).with_secret(data.get("clouds_secret", ""))

    def _offer(self, names: list[str]) -> None:
        """Let one of several clouds be chosen; their names are no secret."""
        choices = [("", "—"), *((name, name) for name in names)]
        self.fields["cloud"].widget = forms.Select(choices=choices)
        sentence = _("The text has these clouds: choose one, and give the text once more.")
        self.add_error("cloud", str(sentence))

    def _read_openrc(self, data: dict[str, Any]) -> Given:
        given = credentials.from_openrc(self._text(data, "openrc", "openrc_file"))
        return given.with_secret(data.get("openrc_secret", ""))

    def _text(self, data: dict[str, Any], pasted: str, file: str) -> str:
        upload: UploadedFile[Any] | None = data.get(file)
        if upload is None:
            text: str = data.get(pasted, "")
            if not text.strip():
                raise CannotRead(_("Paste the text, or choose its file (64 kB at most)."))
            return text
        if (upload.size or 0) > MOST_CHARACTERS:
            raise CannotRead(_("The file is longer than any clouds.yaml or openrc."))
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise CannotRead(_("The file is not a text.")) from None

    @property
    def parts(self) -> list[tuple[str, Any, list[forms.BoundField]]]:
        """List the three ways with their fields, for the page."""
        return [(way, label, [self[name] for name in self.FIELDS[way]]) for way, label in self.WAYS]


class ConnectForm(NameForm, CredentialForm):
    """A new account."""


class DisconnectForm(forms.Form):
    """The account's name, typed."""

    typed = forms.CharField(
        label=_("Type its name to confirm"),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name = name

    def clean_typed(self) -> str:
        """Compare it with the name."""
        typed: str = self.cleaned_data["typed"]
        if typed != self._name:
            raise forms.ValidationError(_("This is not the account’s name."))
        return typed


class RegionsForm(forms.Form):
    regions = forms.MultipleChoiceField(
        label=_("Regions"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one of the regions.")},
    )

    def __init__(self, *args: Any, offered: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offered = offered
        field: Any = self.fields["regions"]
        field.choices = [(region, region) for region in offered]
