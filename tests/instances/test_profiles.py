"""What is known of images: by the operator, by what ships; and the password on a console."""

from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from instances import choices
from instances.models import ImageProfile
from instances.picker import Access, way_in
from instances.profiles import (
    SHIPPED,
    BadPattern,
    Profile,
    compiled,
    password_in,
    profile_of,
    shipped_for,
)
from teams.models import AuditEntry
from tests.instances import console_texts as texts
from tests.instances import rows
from tests.instances.test_picker import IMAGE, SERVER

CIRROS = "login as 'cirros' user. default password: 'gocubsgo'. use 'sudo' for root."
LINE = r"rescue-setup: password of root for this boot: (\S+)"


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("Ubuntu 24.04 LTS", "ubuntu"), ("debian-12-genericcloud", "debian"),
        ("Rocky-9-GenericCloud", "rocky"), ("CentOS-Stream-9", "cloud-user"),
        ("CentOS 7", "centos"), ("Arch-Linux-x86_64-cloudimg", "arch"), ("my-ubuntu", ""), ("", ""),
    ],
)  # fmt: skip
def test_well_known_images_have_a_user(name, user):
    expected = (Access.KEY, user) if user else (Access.UNKNOWN, "root")
    assert way_in(replace(IMAGE, name=name), SERVER) == expected


def test_what_an_image_says_comes_before_its_name_and_the_operator_before_both():
    image = replace(IMAGE, name="Ubuntu 24.04", properties={"rescue_user": "fix"})
    assert way_in(image, SERVER) == (Access.KEY, "fix")
    known = Profile("ubuntu*", user="ops")
    assert way_in(image, SERVER, profile=known) == (Access.KEY, "ops")
    by_password = Profile("ubuntu*", access="password")
    assert way_in(image, SERVER, profile=by_password) == (Access.PASSWORD, "fix")
    printed = Profile("ubuntu*", printed_line="(x)")
    assert way_in(image, SERVER, profile=printed) == (Access.CONSOLE, "fix")
    assert way_in(image, SERVER, profile=replace(printed, access="key"))[0] is Access.KEY


def test_cirros_prints_its_password_for_who_has_no_key():
    image = replace(IMAGE, name="cirros-0.6.2-x86_64")
    assert way_in(image, SERVER) == (Access.KEY, "cirros")
    assert way_in(image, replace(SERVER, key_name="")) == (Access.CONSOLE, "cirros")
    shipped = shipped_for(image.name, "")
    assert password_in(texts.KERNEL + CIRROS, shipped.printed_line) == "gocubsgo"


def test_the_profile_that_says_most_of_the_name_counts():
    own = [Profile("*"), Profile("debian*"), Profile("Debian Rescue*"), Profile("id-1")]
    assert profile_of("Debian Rescue 12", "x", own).image == "Debian Rescue*"
    assert profile_of("debian 12", "x", own).image == "debian*"
    assert profile_of("Debian Rescue 12", "id-1", own).image == "id-1"
    assert profile_of("alpine", "x", [Profile("debian*")]) is None


@pytest.mark.parametrize("line", [one.printed_line for one in SHIPPED if one.printed_line])
def test_what_ships_can_be_used(line):
    assert compiled(line).groups == 1


def test_the_password_is_that_of_the_last_boot_and_the_newest():
    said = "[4.1] rescue-setup: password of root for this boot: {}\n"
    text = texts.KERNEL + said.format("old") + texts.KERNEL + said.format("one")
    assert password_in(text, LINE) == "one"
    assert password_in(text + said.format("two"), LINE) == "two"
    assert password_in(texts.KERNEL + said.format("old") + texts.HEALTHY, LINE) == ""
    assert password_in(texts.KERNEL + said.format("x" * 129), LINE) == ""
    assert password_in(said.format("\x1b[1mbold\x1b[0m"), LINE) == "bold"
    for line in ("(", "no group", "(two) (groups)"):
        with pytest.raises(BadPattern):
            compiled(line)


# The operator -------------------------------------------------------------------------------------


def say(*words, **options):
    out = StringIO()
    call_command("image_profile", *words, stdout=out, **options)
    return out.getvalue()


def test_the_operator_says_it_by_a_command_that_is_written_down(db):
    assert "no profile" in say("Debian*")
    assert "user ops" in say("Debian*", user="ops", access="key")
    assert say("Debian*", user="ops") == say("Debian*")
    assert "printed line (x)" in say("Debian*", printed_line="(x)")
    row = ImageProfile.objects.get()
    assert (row.user, row.access, row.printed_line) == ("ops", "key", "(x)")
    assert AuditEntry.objects.filter(act="image.profile").count() == 2
    assert "no profile" in say("Debian*", remove=True)
    assert not ImageProfile.objects.exists()
    say("Debian*", remove=True)
    assert AuditEntry.objects.filter(act="image.profile").count() == 3


@pytest.mark.parametrize(
    "wrong", [{"user": "Not a user"}, {"printed_line": "("}, {"printed_line": "none"}]
)
def test_what_cannot_be_is_refused(db, wrong):
    with pytest.raises(CommandError):
        say("Debian*", **wrong)
    assert not ImageProfile.objects.exists()


def test_the_dialog_goes_by_it(teams):
    account = rows.account(teams.acme)
    rows.images(account)
    web = rows.instance(account, key_name="k")
    assert choices.choice_of(web, rows.RESCUE_IMAGE).access == Access.PASSWORD
    say("rescue dist*", user="fix", access="key")
    assert choices.picker_for(web).choices[0].user == "fix"
    chosen = choices.choice_of(web, rows.RESCUE_IMAGE)
    assert (chosen.access, chosen.access_label) == (Access.KEY, "Your SSH key as user fix")
