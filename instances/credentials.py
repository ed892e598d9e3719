"""Read what people paste to connect a cloud: clouds.yaml and openrc. Nothing is ever executed."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MOST_CHARACTERS = 64 * 1024
MOST_ALIASES = 20
LONGEST_VALUE = 2000

APPLICATION, PASSWORD = "v3applicationcredential", "v3password"
_SECRETS = ("application_credential_secret", "password")
_KEPT = (
    "auth_url application_credential_id application_credential_secret application_credential_name "
    "username user_id password user_domain_id user_domain_name project_id project_name "
    "project_domain_id project_domain_name"
).split()
_KINDS = {
    "": "",
    "password": PASSWORD,
    "v3password": PASSWORD,
    "v3applicationcredential": APPLICATION,
    "applicationcredential": APPLICATION,
}


class CannotRead(Exception):
    """The text is not what it should be; ``sentence`` says why, and never what is in it."""

    def __init__(self, sentence: "StrOrPromise") -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Given:
    """What a text gave: the credential as far as it goes, and what is still missing of it."""

    credential: dict[str, Any] = field(repr=False)
    region_name: str = ""
    missing: tuple[str, ...] = ()

    def with_secret(self, secret: str) -> "Given":
        """Return the same with the secret that was asked for."""
        if not secret or not set(self.missing) & set(_SECRETS):
            return self
        name = next(name for name in self.missing if name in _SECRETS)
        auth = self.credential["auth"] | {name: secret}
        missing = tuple(one for one in self.missing if one != name)
        return Given(self.credential | {"auth": auth}, self.region_name, missing)


def from_fields(auth_url: str, ident: str, secret: str, region_name: str = "") -> Given:
    """Take an application credential from its fields."""
    auth = {
        "auth_url": auth_url,
        "application_credential_id": ident,
        "application_credential_secret": secret,
    }
    return _given(auth, "", region_name)


# clouds.yaml ------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads every scalar as text, as it was written, and few aliases: they can be a bomb."""

    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile(r"^<<$"))]}

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count the aliases."""
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MOST_ALIASES:
                raise CannotRead(_("The text refers to itself too often to be a clouds.yaml."))
        return super().compose_node(parent, index)


def clouds_in(text: str) -> dict[str, dict[str, Any]]:
    """Return the clouds of a clouds.yaml by name."""
    _check_size(text)
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader  # nosec B506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        sentence = _("Line {line} is not YAML: check its indentation and its quotes.")
        raise CannotRead(sentence.format(line=line)) from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        raise CannotRead(_("The text is not YAML.")) from None
    clouds = tree.get("clouds") if isinstance(tree, dict) else None
    named = clouds if isinstance(clouds, dict) else {}
    found = {
        name: cloud
        for name, cloud in named.items()
        if isinstance(name, str) and isinstance(cloud, dict)
    }
    if not found:
        raise CannotRead(_("There is no cloud in this text: it has to begin with “clouds:”."))
    return found


def from_cloud(cloud: Mapping[str, Any]) -> Given:
    """Take one cloud of a clouds.yaml."""
    auth = cloud.get("auth")
    if not isinstance(auth, dict):
        raise CannotRead(_("This cloud has no “auth” part."))
    if str(cloud.get("verify", "true")).lower() in ("false", "no", "off", "0"):
        raise CannotRead(
            _(
                "This cloud says “verify: false”. The panel always checks certificates: without "
                "that anybody on the way could read the credential."
            )
        )
    region = cloud.get("region_name")
    if not region and isinstance(regions := cloud.get("regions"), list) and regions:
        first = regions[0]
        region = first.get("name") if isinstance(first, dict) else first
    return _given(auth, _text(cloud.get("auth_type")), _text(region))


# openrc -----------------------------------------------------------------------------------------

_ASSIGNMENT = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$", re.DOTALL)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
#: stand-ins, from Unicode's private use, for what shlex must not touch
_DOLLAR, _OPEN, _CLOSE = "\ue000", "\ue001", "\ue002"


def from_openrc(text: str) -> Given:
    """Take the ``export NAME=value`` lines of an openrc; every other line is passed over."""
    _check_size(text)
    if set(text) & {_DOLLAR, _OPEN, _CLOSE, "\0"}:
        raise CannotRead(_("The text has characters that no openrc has."))
    said: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"^\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*=", line):
            _assign(line, number, said)
    given = {name[3:].lower(): value for name, value in said.items() if name.startswith("OS_")}
    if not given:
        raise CannotRead(_("There is no line like “export OS_AUTH_URL=…” in this text."))
    return _given(_of_environment(given), given.get("auth_type", ""), given.get("region_name", ""))


def _assign(line: str, number: int, said: dict[str, str]) -> None:
    """Take the assignments of one line."""
    try:
        words = shlex.split(_veiled(line.strip(), number))
    except ValueError:
        sentence = _("Line {line}: a quote is opened and not closed.")
        raise CannotRead(sentence.format(line=number)) from None
    for word in words:
        if word in ("export", ";"):
            continue
        if not (found := _ASSIGNMENT.match(word)):
            return  # a command follows, for which this was only meant
        said[found[1]] = re.sub(
            f"{_OPEN}(.*?){_CLOSE}", lambda name: said.get(name[1], ""), found[2]
        ).replace(_DOLLAR, "$")


def _veiled(line: str, number: int) -> str:
    """Replace what the shell would expand by stand-ins; refuse what it would run."""
    done, quote, at = "", "", 0
    while at < len(line):
        sign = line[at]
        if quote == "'":
            done += _DOLLAR if sign == "$" else sign
            quote = "" if sign == "'" else quote
        elif sign == "\\":
            pair = line[at : at + 2]
            done, at = done + (_DOLLAR if pair == r"\$" else pair), at + 1
        elif sign == "`" or line.startswith("$(", at):
            sentence = _(
                "Line {line} would run a command to find a value. The panel never runs an openrc: "
                "put the value itself there."
            )
            raise CannotRead(sentence.format(line=number))
        elif found := _REFERENCE.match(line, at):
            done, at = f"{done}{_OPEN}{found[1] or found[2]}{_CLOSE}", found.end() - 1
        elif sign == ";" and not quote:
            done += " ; "
        elif sign == "#" and not quote and (not done or done[-1].isspace()):
            break
        else:
            if sign == quote:
                quote = ""
            elif sign in "'\"" and not quote:
                quote = sign
            done += _DOLLAR if sign == "$" else sign
        at += 1
    return done


def _of_environment(given: dict[str, str]) -> dict[str, str]:
    """Read the older names too."""
    older = {"tenant_name": "project_name", "tenant_id": "project_id"}
    return {new: given[old] for old, new in older.items() if given.get(old)} | {
        name: value for name, value in given.items() if value
    }


# Both -------------------------------------------------------------------------------------------


def _check_size(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise CannotRead(_("The text is longer than any clouds.yaml or openrc."))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _given(auth: Mapping[str, Any], auth_type: str, region_name: str) -> Given:
    """Keep what opens a cloud, and tell what is missing."""
    raw = {name: auth[name] for name in _KEPT if isinstance(auth.get(name), str)}
    kept = {name: v if name in _SECRETS else v.strip() for name, v in raw.items()}
    kept = {name: value for name, value in kept.items() if value}
    if any(len(v) > LONGEST_VALUE or not _plain(v) for v in kept.values()):
        raise CannotRead(_("A value in it is longer than any, or has characters that none has."))
    kind = _kind(auth_type, auth, kept)
    _defaults(kept, auth)
    complete = _application if kind == APPLICATION else _password
    missing = tuple(complete(kept))
    if kept.get("auth_url"):
        kept["auth_url"] = keystone_address(kept["auth_url"])
    return Given({"auth_type": kind, "auth": kept}, region_name.strip()[:100], missing)


def _plain(value: str) -> bool:
    return all(sign.isprintable() for sign in value)


def _kind(auth_type: str, auth: Mapping[str, Any], kept: Mapping[str, str]) -> str:
    """Return how this signs in: by an application credential or a password, nothing else."""
    kind = _KINDS.get(auth_type.strip().lower())
    if kind is None or (auth.get("token") and not kept.keys() & {*_SECRETS, _KEPT[1], _KEPT[3]}):
        raise CannotRead(
            _(
                "This signs in by a way that needs a person or soon ends. "
                "Make an application credential in your cloud and use that."
            )
        )
    application = any(name.startswith("application_credential") for name in kept)
    return kind or (APPLICATION if application else PASSWORD)


def _defaults(kept: dict[str, str], auth: Mapping[str, Any]) -> None:
    """Name the domains where only names are given, as every client does."""
    default = _text(auth.get("default_domain_id")) or _text(auth.get("default_domain"))
    for what, needs in (("user", "username"), ("project", "project_name")):
        named = kept.get(f"{what}_domain_id") or kept.get(f"{what}_domain_name")
        by_id = kept.get(f"{what}_id")
        if needs in kept and not named and not by_id:
            kept[f"{what}_domain_id"] = default or "default"


def _application(kept: dict[str, str]) -> Iterator[str]:
    named = "application_credential_name" in kept and kept.keys() & {"username", "user_id"}
    for name in [one for one in kept if one.startswith(("project_", "password"))]:
        del kept[name]  # an application credential knows its project
    if not kept.get("auth_url"):
        yield "auth_url"
    if not named and "application_credential_id" not in kept:
        yield "application_credential_id"
    if "application_credential_secret" not in kept:
        yield "application_credential_secret"


def _password(kept: dict[str, str]) -> Iterator[str]:
    if not kept.get("auth_url"):
        yield "auth_url"
    if not kept.keys() & {"username", "user_id"}:
        yield "username"
    if not kept.keys() & {"project_id", "project_name"}:
        yield "project_name"
    if "password" not in kept:
        yield "password"


def keystone_address(text: str) -> str:
    """Bring a Keystone address into the one form the panel uses: with its version."""
    address = text.strip().rstrip("/")
    try:
        path = urlsplit(address).path
    except ValueError:
        return address
    if path.endswith("/v2.0"):
        address = address.removesuffix("/v2.0")
    return address if path.endswith("/v3") else f"{address}/v3"


MISSING: "dict[str, StrOrPromise]" = {
    "auth_url": _("The address of Keystone (auth_url) is missing in it."),
    "application_credential_id": _("The application credential’s ID is missing in it."),
    "application_credential_secret": _(
        "The application credential’s secret is missing in it: type it below."
    ),
    "username": _("The user name is missing in it."),
    "project_name": _("The project is missing in it: without one there is nothing to show."),
    "password": _("The password is missing in it: type it below."),
}
