"""Who visits which page: a row for each address of the urlconf that answers GET.

Address as tests/access_table.py writes it, then who visits it (with the objects that the access
table names), ``none`` for what is no page, or ``like`` another one for what Django's admin draws
with the same templates. Other objects than the access table's may follow.
"""

from tests import access_table
from tests.access_table import Row

TABLE = """
# No pages: answers to machines, fragments of a page, files, what only leads on
healthz                                none
readyz                                 none
metrics                                none
language                               none
acting                                 none
instances/<int:pk>/row                 none
rescues/<uuid:pk>/report               none
teams/<int:pk>/trail.csv               none
teams/<int:pk>/trail.jsonl             none
admin/jsi18n/                          none
admin/login/                           none

# Signing in
sign-in                                nobody
account/sign-up                        nobody
account/inactive                       nobody
account/confirm                        nobody
account/confirm/<str:key>              nobody
account/reset                          nobody
account/reset/sent                     nobody
account/reset/done                     nobody
account/reset/<base36:uidb36>-<str:key> nobody  uid reset
account/second-factor                  dora-at-the-door
account/with/<str:provider_id>/back    nobody
account/keystone                       nobody
account/keystone/confirm/<str:key>     nobody
invitations/<str:token>                zoe

# Oneself
account                                dora
account/e-mail                         alice
account/e-mail/<str:key>               alice
account/clouds/<int:pk>/remove         dora joined
account/sessions                       alice
account/password                       dora
account/password/set                   like account/password
account/again                          dora
account/again/code                     dora
account/again/passkey                  dora
account/factors                        dora
account/factors/app                    alice
account/factors/app/remove             dora
account/factors/recovery               dora
account/factors/recovery/new           dora
account/factors/passkey                dora
account/factors/passkey/<int:pk>/remove dora  passkey
account/keys                           alice
account/keys/<int:key>/delete          alice
account/staff-access                   alice

# Instances
/                                      alice
notifications                          alice
instances/<int:pk>/rescue              alice  resting
instances/<int:pk>/exit                alice
instances/<int:pk>/reboot              alice  broken
instances/<int:pk>/history             alice
instances/<int:pk>/console             alice
instances/<int:pk>/by-hand             alice
instances/<int:pk>/by-hand/<slug:goal> alice  instance boot
rescues/<uuid:pk>                      alice
rescues/<uuid:pk>/machine              alice
rescues/<uuid:pk>/terminal             alice
rescues/<uuid:pk>/repairs/<slug:kind>  alice
rescues/<uuid:pk>/jobs/<uuid:job>      alice
teams/<int:pk>/rescues                 alice
teams/<int:pk>/batches                 alice
batches/<uuid:pk>                      alice

# Teams
teams                                  dora
teams/new                              alice
teams/<int:pk>/leave                   bob
teams/<int:pk>/members                 alice
teams/<int:pk>/members/<int:member>    alice
teams/<int:pk>/members/<int:member>/remove alice
teams/<int:pk>/invitations             alice
teams/<int:pk>/keys                    alice
teams/<int:pk>/keys/<int:key>/delete   alice
teams/<int:pk>/settings                alice
teams/<int:pk>/trail                   alice
teams/<int:pk>/notifications           alice

# What is told outside, and cloud accounts
teams/<int:pk>/webhooks                alice
teams/<int:pk>/webhooks/new            alice
teams/<int:pk>/webhooks/<int:hook>     alice
teams/<int:pk>/webhooks/<int:hook>/secret  alice
teams/<int:pk>/webhooks/<int:hook>/delete  alice
teams/<int:pk>/webhooks/<int:hook>/deliveries alice
teams/<int:pk>/clouds                  alice
teams/<int:pk>/clouds/connect          alice
teams/<int:pk>/clouds/<int:account>    alice
teams/<int:pk>/clouds/<int:account>/rotate     alice
teams/<int:pk>/clouds/<int:account>/rename     alice
teams/<int:pk>/clouds/<int:account>/disconnect alice

# Staff and support
staff                                  sam
staff/accesses                         sam
staff/people/<int:pk>/impersonate      sam
admin/                                 sam
admin/<str:app_label>/                 like admin/
admin/logout/                          none
admin/password_change/                 none
admin/teams/team/                      sam
admin/teams/team/<path:object_id>/change/  sam  team
admin/teams/team/<path:object_id>/history/ sam  team
"""
OTHERS = """
# The same pages with nothing in them, for others, and what goes wrong
teams/<int:pk>/rescues                 dora   long_team
teams/<int:pk>/clouds                  dora   long_team
teams/<int:pk>/keys                    dora   long_team
teams/<int:pk>/invitations             dora   long_team
teams/<int:pk>/webhooks                dora   long_team
teams/<int:pk>/trail                   dora   long_team
teams/<int:pk>/settings                dora   long_team
/                                      dora
/                                      zoe
account/keys                           dora
account/factors                        alice
account/staff-access                   dora
invitations/<str:token>                nobody
invitations/<str:token>                alice
account/confirm/<str:key>              nobody  confirm
account/reset/<base36:uidb36>-<str:key> nobody word word
batches/<uuid:pk>                      carol
batches/<uuid:pk>                      alice   draft
batches/<uuid:pk>                      alice   leaving
batches/<uuid:pk>                      sam-for-alice
teams/<int:pk>/batches                 dora    long_team
rescues/<uuid:pk>                      carol
rescues/<uuid:pk>                      alice   ended
rescues/<uuid:pk>                      sam-for-alice
/                                      sam-for-alice
teams/<int:pk>/keys                    carol
instances/<int:pk>/console             alice   resting
instances/<int:pk>/exit                carol
instances/<int:pk>/rescue              alice
staff                                  alice
"""


class Visit:
    """A page, who looks at it, and the names of the objects in its address."""

    def __init__(self, section: str, address: str, who: str, objects: tuple[str, ...]) -> None:
        self.section, self.address, self.who, self.objects = section, address, who, objects

    def path(self, things: dict[str, object]) -> str:
        """Write the address with the keys of its objects in it; other words stand as they are."""
        parts = self.address.split("<")
        keys = iter(str(things.get(name, name)) for name in self.objects)
        filled = parts[0] + "".join(next(keys) + part.partition(">")[2] for part in parts[1:])
        return f"/{filled}"

    @property
    def name(self) -> str:
        """Name it for a file."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.path({}))
        return "-".join([*(words.split() or ["list"]), "as", self.who])


def answering_get() -> dict[str, Row]:
    """Return the access table's addresses that answer GET."""
    return {row.address: row for row in access_table.rows() if "GET" in row.methods}


def read(table: str) -> list[Visit]:
    """Read a table of visits."""
    known = answering_get()
    found, section = [], ""
    for line in filter(None, table.splitlines()):
        if line.startswith("#"):
            section = line.strip("# ")
            continue
        address, who, *objects = line.split()
        address = address.removeprefix("/")
        usual = known[address].objects if address in known else ()
        found.append(Visit(section, address, who, tuple(objects) or usual))
    return found


def _admin() -> str:
    """Say of the admin's other rows that they look like a team's."""
    kinds = [f"{app}/{one}" for app, all_ in access_table.ADMIN.items() for one in all_.split()]
    pages = ("", "<path:object_id>/change/", "<path:object_id>/history/")
    return "\n".join(
        f"admin/{kind}/{page} like admin/teams/team/{page}"
        for kind in kinds
        if kind != "teams/team"
        for page in pages
    )


PLACED = read(TABLE + _admin())
VISITS = [one for one in PLACED + read(OTHERS) if one.who not in ("none", "like")]
