# ruff: noqa: E501  a row is a line
"""Who may do what: one row a URL, held against the urlconf and the docs.

Columns: address as the urlconf writes it · methods its view answers (GET brings HEAD along; every
other method is refused) · what happens to: a visitor who is not signed in · a read-only member, a
member, an owner of the team · an owner of another team · staff · staff acting for the read-only
member, the member, the owner · then, for the test, the objects that fill the address in
(attributes of its world: see tests/test_access.py).

    +    gets through (the answer may still be a form with errors, or "not possible now")
    in   is sent to sign in
    404  does not learn whether it exists
    403  is told that this is not allowed

An address with two rows has different rules for different methods.
`python -m tests.access_table` writes the table into docs/portal.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PEOPLE = (
    "anonymous",
    "carol",
    "bob",
    "alice",
    "mallory",
    "sam",
    "sam for carol",
    "sam for bob",
    "sam for alice",
)
HEADS = (
    "Address",
    "Methods",
    "Nobody",
    "Read-only",
    "Member",
    "Owner",
    "Other team",
    "Staff",
    "Staff for read-only",
    "Staff for member",
    "Staff for owner",
)

TABLE = """
# The machine itself, language
healthz                                any        +  +   +   +   +   +    403 403 403
readyz                                 any        +  +   +   +   +   +    403 403 403
metrics                                any        +  +   +   +   +   +    403 403 403
language                               any        +  +   +   +   +   +    +   +   +

# Signing in and out
sign-in                                any        +  +   +   +   +   +    403 403 403
sign-out                               POST       +  +   +   +   +   +    +   +   +
account/sign-up                        GET,POST   403 +    +   +   +   +    403 403 403
account/inactive                       GET        +  +   +   +   +   +    403 403 403
account/confirm                        GET        +  +   +   +   +   +    403 403 403
account/confirm/<str:key>              GET,POST   +  +   +   +   +   +    403 403 403   word
account/reset                          GET,POST   +  +   +   +   +   +    403 403 403
account/reset/sent                     GET        +  +   +   +   +   +    403 403 403
account/reset/done                     GET        +  +   +   +   +   +    403 403 403
account/reset/<base36:uidb36>-<str:key> GET,POST   +  +   +   +   +   +    403 403 403   word word
account/second-factor                  GET,POST   +  +   +   +   +   +    403 403 403
account/passkey                        POST       +  +   +   +   +   +    403 403 403
account/with/<str:provider_id>         POST       +  +   +   +   +   +    403 403 403   oidc
account/with/<str:provider_id>/back    GET        +  +   +   +   +   +    403 403 403   oidc
account/keystone                       GET,POST   +  +   +   +   +   +    403 403 403
account/keystone/address               POST       +  +   +   +   +   +    403 403 403
account/keystone/confirm/<str:key>     GET,POST   +  +   +   +   +   +    403 403 403   word

# Oneself
account                                GET,POST   in +   +   +   +   +    403 403 403
account/e-mail                         GET,POST   in +   +   +   +   +    403 403 403
account/e-mail/<str:key>               GET,POST   in +   +   +   +   +    403 403 403   word
account/clouds/<int:pk>/remove         GET,POST   in 404 404 +   404 404  403 403 403   joined
account/sessions                       GET        in +   +   +   +   +    403 403 403
account/sessions/<int:pk>/end          POST       in 404 404 +   404 404  403 403 403   session
account/sessions/end-others            POST       in +   +   +   +   +    403 403 403
account/password                       GET,POST   in +   +   +   +   +    403 403 403
account/password/set                   GET,POST   in +   +   +   +   +    403 403 403
account/again                          GET,POST   in +   +   +   +   +    403 403 403
account/again/code                     GET,POST   in +   +   +   +   +    403 403 403
account/again/passkey                  GET,POST   in +   +   +   +   +    403 403 403
account/factors                        GET        in +   +   +   +   +    403 403 403
account/factors/app                    GET,POST   in +   +   +   +   +    403 403 403
account/factors/app/remove             GET,POST   in +   +   +   +   +    403 403 403
account/factors/recovery               GET        in +   +   +   +   +    403 403 403
account/factors/recovery/new           GET,POST   in +   +   +   +   +    403 403 403
account/factors/passkey                GET,POST   in +   +   +   +   +    403 403 403
account/factors/passkey/<int:pk>/remove GET,POST  in +   +   +   +   +    403 403 403   1

# Instances and rescues
/                                      GET        in +   +   +   +   +    +   +   +
notifications                          GET        in +   +   +   +   +    +   +   +
instances/<int:pk>/row                 GET        in +   +   +   404 404  +   +   +     instance
instances/<int:pk>/rescue              GET,POST   in 403 +   +   404 404  403 +   +     instance
instances/<int:pk>/exit                GET,POST   in 403 +   +   404 404  403 +   +     instance
instances/<int:pk>/reboot              GET,POST   in 403 +   +   404 404  403 +   +     instance
rescues/<uuid:pk>/password             POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/cancel               POST       in 403 +   +   404 404  403 +   +     rescue
rescues/<uuid:pk>/dismiss              POST       in +   +   +   404 404  +   +   +     rescue
rescues/<uuid:pk>                      GET        in +   +   +   404 404  +   +   +     rescue
rescues/<uuid:pk>/report               GET        in +   +   +   404 404  +   +   +     rescue
rescues/<uuid:pk>/extend               POST       in 403 +   +   404 404  403 +   +     rescue
rescues/<uuid:pk>/hand-over            POST       in 403 +   +   404 404  403 +   +     rescue
rescues/<uuid:pk>/note                 POST       in 403 +   +   404 404  403 +   +     rescue
teams/<int:pk>/rescues                 GET        in +   +   +   404 404  +   +   +     team

# Bulk actions
teams/<int:pk>/batches                 GET        in +   +   +   404 404  +   +   +     team
batches                                POST       in +   +   +   +   +    +   +   +
batches/<uuid:pk>                      GET        in +   +   +   404 404  +   +   +     batch
batches/<uuid:pk>/begin                POST       in 403 +   +   404 404  403 +   +     batch
batches/<uuid:pk>/stop                 POST       in 403 +   +   404 404  403 +   +     batch
batches/<uuid:pk>/resume               POST       in 403 +   +   404 404  403 +   +     batch
batches/<uuid:pk>/retry                POST       in 403 +   +   404 404  403 +   +     batch
batches/<uuid:pk>/exit                 POST       in 403 +   +   404 404  403 +   +     batch
batches/<uuid:pk>/dismiss              POST       in +   +   +   404 404  +   +   +     batch

# Staff, and what the customer sees of it
rescues/<uuid:pk>/machine              GET        in +   +   +   404 404  +   +   +     rescue
rescues/<uuid:pk>/machine/key          POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/machine/again        POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/machine/look         POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/machine/mount        POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/machine/unmount      POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/terminal             GET        in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/terminal/ticket      POST       in 403 +   +   404 404  403 403 403   rescue
rescues/<uuid:pk>/repairs/<slug:kind>  GET,POST   in 403 +   +   404 404  403 403 403   rescue repair
rescues/<uuid:pk>/jobs/<uuid:job>      GET        in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/jobs/<uuid:job>/answer POST     in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/jobs/<uuid:job>/password POST   in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/jobs/<uuid:job>/confirm POST    in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/jobs/<uuid:job>/undo POST       in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/jobs/<uuid:job>/drop POST       in 403 +   +   404 404  403 403 403   rescue job
rescues/<uuid:pk>/grant                POST       in 403 403 403 404 404  403 +   +     rescue
rescues/<uuid:pk>/grant/<int:grant>/allow    POST in 403 +   +   404 404  403 403 403   rescue grant
rescues/<uuid:pk>/grant/<int:grant>/refuse   POST in 403 +   +   404 404  403 403 403   rescue grant
rescues/<uuid:pk>/grant/<int:grant>/withdraw POST in 403 +   +   404 404  403 403 403   rescue grant
staff                                  GET        in 404 404 404 404 +    403 403 403
staff/accesses                         GET        in 404 404 404 404 +    403 403 403
staff/people/<int:pk>/impersonate      GET,POST   in 404 404 404 404 +    403 403 403   bob
staff/stop                             POST       in +   +   +   +   +    +   +   +
acting                                 GET        in +   +   +   +   +    +   +   +
account/staff-access                   GET        in +   +   +   +   +    403 403 403
account/staff-access/<int:pk>/end      POST       in 404 404 +   404 404  403 403 403   access

# What was done
teams/<int:pk>/trail                   GET        in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/trail.csv               GET        in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/trail.jsonl             GET        in 403 403 +   404 404  403 403 403   team

instances/<int:pk>/history             GET        in +   +   +   404 404  +   +   +     instance
instances/<int:pk>/console             GET        in +   +   +   404 404  +   +   +     instance
instances/<int:pk>/console             POST       in 403 +   +   404 404  403 +   +     instance
instances/<int:pk>/by-hand             GET        in +   +   +   404 404  +   +   +     instance
instances/<int:pk>/by-hand/<slug:goal> GET        in +   +   +   404 404  +   +   +     instance boot

# Teams, invitations, keys
teams                                  GET        in +   +   +   +   +    +   +   +
teams/new                              GET,POST   in +   +   +   +   +    403 403 403
teams/<int:pk>/leave                   GET,POST   in +   +   +   404 404  403 403 403   team
teams/<int:pk>/members                 GET        in +   +   +   404 404  +   +   +     team
teams/<int:pk>/members/<int:member>    GET,POST   in 403 403 +   404 404  403 403 403   team member
teams/<int:pk>/members/<int:member>/remove GET,POST in 403 403 + 404 404  403 403 403   team member
teams/<int:pk>/invitations             GET,POST   in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/invitations/<int:invitation>/resend   POST in 403 403 + 404 404 403 403 403 team invitation
teams/<int:pk>/invitations/<int:invitation>/withdraw POST in 403 403 + 404 404 403 403 403 team invitation
teams/<int:pk>/keys                    GET        in +   +   +   404 404  +   +   +     team
teams/<int:pk>/keys                    POST       in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/keys/<int:key>/delete   GET,POST   in 403 403 +   404 404  403 403 403   team key
teams/<int:pk>/settings                GET,POST   in 403 403 +   404 404  403 403 403   team
account/keys                           GET,POST   in +   +   +   +   +    403 403 403
account/keys/<int:key>/delete          GET,POST   in 404 404 +   404 404  403 403 403   own_key
invitations/<str:token>                GET        +  +   +   +   +   +    403 403 403   token
invitations/<str:token>                POST       in +   +   +   +   +    403 403 403   token

# What is told outside
teams/<int:pk>/notifications           GET,POST   in +   +   +   404 404  403 403 403   team
teams/<int:pk>/webhooks                GET        in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/webhooks/new            GET,POST   in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/webhooks/<int:hook>     GET        in 403 403 +   404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/change  POST     in 403 403 + 404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/test    POST     in 403 403 + 404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/secret  GET,POST in 403 403 + 404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/delete  GET,POST in 403 403 + 404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/deliveries GET   in 403 403 + 404 404  403 403 403   team hook
teams/<int:pk>/webhooks/<int:hook>/deliveries/<uuid:message>/resend POST in 403 403 + 404 404 403 403 403 team hook message

# Cloud accounts
teams/<int:pk>/clouds                  GET        in +   +   +   404 404  +   +   +     team
teams/<int:pk>/clouds/connect          GET,POST   in 403 403 +   404 404  403 403 403   team
teams/<int:pk>/clouds/<int:account>    GET        in 403 403 +   404 404  403 403 403   team account
teams/<int:pk>/clouds/<int:account>/test       POST     in 403 403 + 404 404 403 403 403 team account
teams/<int:pk>/clouds/<int:account>/rotate     GET,POST in 403 403 + 404 404 403 403 403 team account
teams/<int:pk>/clouds/<int:account>/metadata   POST     in 403 403 + 404 404 403 403 403 team account
teams/<int:pk>/clouds/<int:account>/rename     GET,POST in 403 403 + 404 404 403 403 403 team account
teams/<int:pk>/clouds/<int:account>/regions    POST     in 403 403 + 404 404 403 403 403 team account
teams/<int:pk>/clouds/<int:account>/disconnect GET,POST in 403 403 + 404 404 403 403 403 team account
"""

# The admin: the same three pages for each kind of row; support looks, only operators may change.
ADMIN = {
    "teams": "auditentry cloudaccount delivery impersonation invitation membership team user webhook",
    "instances": "batch cloudmirror grant imageprofile instance rescue",
}
PAGES = """
admin/{kind}/                              GET,POST   in 404 404 404 404 +    403 403 403
admin/{kind}/<path:object_id>/history/     GET,POST   in 404 404 404 404 +    403 403 403   1
admin/{kind}/<path:object_id>/change/      GET        in 404 404 404 404 +    403 403 403   1
admin/{kind}/<path:object_id>/change/      POST       in 404 404 404 404 403  403 403 403   1
"""
TABLE += """
# The admin
admin/                                 GET,POST   in 404 404 404 404 +    403 403 403
admin/<str:app_label>/                 GET,POST   in 404 404 404 404 +    403 403 403   teams
admin/login/                           any        in +   +   +   +   +    403 403 403
admin/logout/                          GET,POST   +  404 404 404 404 +    403 403 403
admin/password_change/                 GET,POST   in 404 404 404 404 +    403 403 403
admin/jsi18n/                          GET        in 404 404 404 404 +    403 403 403
""" + "".join(
    PAGES.replace("{kind}", f"{app}/{model}")
    for app, models in ADMIN.items()
    for model in models.split()
)

DOCS = Path(__file__).resolve().parent.parent / "docs/portal.md"
BEGIN, END = "<!-- the table: python -m tests.access_table -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Row:
    section: str
    address: str
    methods: frozenset[str]
    who: dict[str, str]
    objects: tuple[str, ...]

    @property
    def written(self) -> str:
        """The methods as the table writes them."""
        if len(self.methods) > 4:
            return "any"
        return ", ".join(sorted(self.methods - {"HEAD"}))


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def rows() -> Iterator[Row]:
    """Read the table; a row with a wrong number of columns or an unknown word raises."""
    section = ""
    for line in TABLE.splitlines():
        if line.startswith("#"):
            section = line.strip("# ")
        if not line.strip() or line.startswith("#"):
            continue
        address, methods, *rest = line.split()
        who, objects = rest[: len(PEOPLE)], tuple(rest[len(PEOPLE) :])
        if len(who) < len(PEOPLE) or not set(who) <= {"+", "in", "403", "404"}:
            raise ValueError(f"The access table has a row it cannot read: {line}")
        answered = set(METHODS) if methods == "any" else set(methods.split(","))
        if "GET" in answered:
            answered.add("HEAD")
        yield Row(
            section,
            "" if address == "/" else address,
            frozenset(answered),
            dict(zip(PEOPLE, who, strict=True)),
            objects,
        )


def markdown() -> str:
    """Write the table for the docs."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    for row in rows():
        address = "`/" + row.address.replace("|", "\\|") + "`"
        lines.append("| " + " | ".join([address, row.written, *row.who.values()]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Put the table between its two marks in the docs."""
    text = DOCS.read_text(encoding="utf-8")
    before, _mark, rest = text.partition(BEGIN)
    _old, _mark, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
