"""The words for what a test of a cloud account found, and what to do about it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Words = tuple["StrOrPromise", "StrOrPromise"]


@dataclass(frozen=True)
class Finding:
    """One thing a test found; the code and its parameters are kept, the words made anew."""

    level: str
    code: str
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def kept(cls, row: dict[str, Any]) -> "Finding":
        """Read a finding as a row of the database keeps it."""
        return cls(str(row["level"]), str(row["code"]), dict(row.get("about") or {}))

    @property
    def row(self) -> dict[str, Any]:
        return {"level": self.level, "code": self.code, "about": self.about}

    @property
    def sentence(self) -> str:
        return self._said(0)

    @property
    def advice(self) -> str:
        return self._said(1)

    def _said(self, part: int) -> str:
        words = WORDS.get(self.code, WORDS["broken"])[part]
        try:
            return str(words).format(**self.about)
        except (KeyError, IndexError, ValueError):
            return str(WORDS["broken"][part])


_NEW_CREDENTIAL = _("Make a new application credential in your cloud and give its ID and secret.")
_ASK_OPERATOR = _("If this is your cloud, ask whoever runs this panel to permit its address.")
_CHECK_ADDRESS = _(
    "Check the address: it is the one called auth_url in clouds.yaml and OS_AUTH_URL in an openrc."
)

WORDS: dict[str, Words] = {
    "works": (_("Signed in to the project {project}; its instances can be listed."), ""),
    "broken": (_("The cloud answers in a way the panel does not understand."), _CHECK_ADDRESS),
    # The address
    "address_malformed": (_("This is no address of a cloud."), _CHECK_ADDRESS),
    "address_userinfo": (
        _("The address holds a user name or a password."),
        _("Take them out: what is before the @ does not belong there."),
    ),
    "address_not_listed": (
        _("This panel connects to a few clouds only, and {host} is not among them."),
        _ASK_OPERATOR,
    ),
    "address_plain_http": (
        _("The address begins with http: the credential would travel unencrypted."),
        _("Use the address that begins with https."),
    ),
    "address_private": (
        _("{host} is an address inside a private network, where the panel does not connect."),
        _ASK_OPERATOR,
    ),
    "service_refused": (
        _("The catalog of this cloud sends the panel to {host}, where it does not connect."),
        _ASK_OPERATOR,
    ),
    "name_unknown": (_("There is no machine named {host}."), _CHECK_ADDRESS),
    "unreachable": (_("{host} refuses the connection."), _CHECK_ADDRESS),
    "timeout": (
        _("{host} did not answer in time."),
        _("Check the address, then try again in a minute."),
    ),
    "tls": (
        _("The certificate of {host} cannot be trusted, so nothing was sent."),
        _(
            "Check the name in the address. If your cloud uses certificates of its own, ask "
            "whoever runs this panel to install them."
        ),
    ),
    "redirects": (
        _("{host} sends the panel elsewhere, which it does not follow with a credential."),
        _("Give the address it leads to."),
    ),
    "not_keystone": (_("What answers at {host} is not Keystone."), _CHECK_ADDRESS),
    "keystone_fails": (_("Keystone at {host} answers with an error."), _("Try again in a minute.")),
    "limited": (_("The cloud asks us to slow down."), _("Try again in a minute.")),
    # The credential
    "wrong_secret": (
        _("The cloud does not accept it: the secret is wrong, or the credential has expired."),
        _NEW_CREDENTIAL,
    ),
    "unknown_credential": (
        _("The cloud knows no such application credential: its ID is wrong, or it was deleted."),
        _NEW_CREDENTIAL,
    ),
    "wrong_password": (
        _(
            "The cloud does not accept it: the user, the password or the project is wrong, or "
            "the user has no role in that project."
        ),
        _("Check the four of them. A cloud never says which one it is."),
    ),
    "cannot_open": (
        _("The stored credential can no longer be opened: its encryption key is gone."),
        _("Replace the credential."),
    ),
    "incomplete": (_("The credential is incomplete."), _NEW_CREDENTIAL),
    "unscoped": (
        _("The credential belongs to no project, so there is nothing to show."),
        _("Use an application credential, or name the project."),
    ),
    "other_project": (
        _("This credential is of another project ({project}), not of this account’s."),
        _("Connect it as an account of its own."),
    ),
    "already_connected": (
        _("This project is already connected in this region, as {name}."),
        _("Open that account to replace its credential."),
    ),
    "admin": (
        _("This is an administrator’s credential: it sees and controls everybody’s servers."),
        _("Use an application credential of one project, made without the role admin."),
    ),
    "sees_others": (
        _("This credential sees the servers of other projects."),
        _("Use an application credential that belongs to one project alone."),
    ),
    "only_reads": (
        _("This credential may only look (its roles: {roles}): it cannot rescue."),
        _("Use an application credential with the role member."),
    ),
    "rules": (
        _("The access rules of this application credential do not permit to list and rescue."),
        _(
            "Permit GET /v2.1/servers/** and POST /v2.1/servers/*/action for the service compute, "
            "GET /v2/images for the service image; or make one without access rules."
        ),
    ),
    "cannot_list": (
        _("The cloud refuses to list servers to this credential."),
        _("Use an application credential with the role member."),
    ),
    "unrestricted": (
        _("The application credential is unrestricted: whoever has it can make more of them."),
        _("Better use one that is not."),
    ),
    "password_credential": (
        _("This is a person’s password, which opens more than this project."),
        _("Better use an application credential: it can be taken back alone."),
    ),
    "expires_soon": (
        _("Days until the credential ends: {days}."),
        _("Make a new one before, and replace it here."),
    ),
    # The services
    "no_compute": (_("This project has no compute service."), _("Check the project.")),
    "no_such_region": (
        _("There is no compute service in the region {region}. There is one in: {regions}."),
        _("Choose one of these regions, or leave the region empty."),
    ),
    "too_old": (
        _("The cloud’s compute service is older than the panel can work with."),
        _("It needs Nova of OpenStack Pike or later."),
    ),
    "compute_silent": (
        _("The compute service does not answer as it should."),
        _("Try again in a minute."),
    ),
    "no_images": (
        _("There is no image service in this region, so there is nothing to rescue with."),
        _("Choose another region."),
    ),
    "images_silent": (
        _("The image service does not answer at the moment."),
        _("Instances show; to rescue one, it has to answer again."),
    ),
}
