"""What is known of images by their names: whom one logs in as, and the line that shows a password.

Pure. An operator's profile comes before what the image says of itself, and that before what ships.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from instances.diagnosis import last_boot

LONGEST_PASSWORD = 128


class BadPattern(ValueError):
    """It is no regular expression with exactly one group."""


@dataclass(frozen=True)
class Profile:
    """What is known of the images whose name or id matches ``image`` (``*`` stands for anything).

    ``printed_line`` is a regular expression; its one group is the password on the console.
    """

    image: str
    user: str = ""
    access: str = ""
    printed_line: str = ""

    def is_for(self, name: str, image_id: str) -> bool:
        """Tell whether an image is meant; large and small letters are the same."""
        pattern = self.image.lower()
        return image_id == self.image or fnmatchcase(name.lower(), pattern)


#: as these projects name their images; cloud images give the server's key to this user
SHIPPED = (
    Profile(
        "cirros*", user="cirros",
        printed_line=r"login as 'cirros' user\. default password: '([^']+)'",
    ),
    Profile("almalinux*", user="almalinux"),
    Profile("arch*linux*", user="arch"),
    Profile("centos*stream*9*", user="cloud-user"),
    Profile("centos*stream*10*", user="cloud-user"),
    Profile("centos*", user="centos"),
    Profile("debian*", user="debian"),
    Profile("fedora*", user="fedora"),
    Profile("freebsd*", user="freebsd"),
    Profile("opensuse*", user="opensuse"),
    Profile("rocky*", user="rocky"),
    Profile("ubuntu*", user="ubuntu"),
)  # fmt: skip


def profile_of(name: str, image_id: str, own: Iterable[Profile] = ()) -> Profile | None:
    """Find the operator's profile of an image: the one that says most of its name."""
    meant = [one for one in own if one.is_for(name, image_id)]
    return max(meant, key=lambda one: (one.image == image_id, len(one.image)), default=None)


def shipped_for(name: str, image_id: str) -> Profile | None:
    """Find what ships for an image."""
    return next((one for one in SHIPPED if one.is_for(name, image_id)), None)


def compiled(printed_line: str) -> re.Pattern[str]:
    """Compile an operator's pattern; raise ``BadPattern``."""
    try:
        pattern = re.compile(printed_line)
    except re.error as problem:
        raise BadPattern(str(problem)) from None
    if pattern.groups != 1:
        raise BadPattern(f"{pattern.groups} groups")
    return pattern


def password_in(console_text: str, printed_line: str) -> str:
    """Return the password printed at the last boot, the newest one; nothing when there is none."""
    pattern = compiled(printed_line)
    for line in reversed(last_boot(console_text)):
        found = pattern.search(line)
        if found and found[1] and len(found[1]) <= LONGEST_PASSWORD:
            return str(found[1])
    return ""
