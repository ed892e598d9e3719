"""Read what the old system's SSH server would allow (sshd_config(5)), as far as files tell it."""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from posixpath import basename, dirname

from instances import ssh
from instances.recovery.changes import OldSystem

MAIN = "/etc/ssh/sshd_config"
MOST_FILES = 50
#: in a row without space around it
SETTING = re.compile(r"([A-Za-z]+)(?:\s*=\s*|\s+)(\S.*)")
OLD_NAMES = {"challengeresponseauthentication": "kbdinteractiveauthentication"}


@dataclass
class Settings:
    """The settings outside of Match blocks: the first of a name counts, as for sshd."""

    #: name in small letters -> (value, the file it stands in)
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    has_match: bool = False

    def get(self, name: str, otherwise: str) -> str:
        """Return a value in small letters."""
        return self.values.get(name, (otherwise, ""))[0].lower()

    def place(self, name: str) -> str:
        """Return the file that says it; the main one where none does."""
        return self.values.get(name, ("", MAIN))[1]

    @property
    def takes_passwords(self) -> bool:
        """Tell whether a password opens it: asked for directly, or through PAM."""
        asks = self.get("kbdinteractiveauthentication", "yes") == "yes"
        return self.get("passwordauthentication", "yes") == "yes" or (
            asks and self.get("usepam", "no") == "yes"
        )


def read(old: OldSystem) -> Settings:
    """Read the settings; what cannot be read counts as not there."""
    found = Settings()
    for number, (path, text) in enumerate(_files(old, MAIN)):
        if number == MOST_FILES:
            break
        for row in text.split("\n"):
            match = SETTING.match(row.strip())
            if row.lstrip().startswith("#") or not match:
                continue
            name = OLD_NAMES.get(match[1].lower(), match[1].lower())
            if name == "match":
                found.has_match = True
                break
            found.values.setdefault(name, (match[2].strip('"'), path))
    return found


def _files(old: OldSystem, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts in the order sshd reads them: cut where another file is included."""
    held: list[str] = []
    for row in _text(old, path).split("\n"):
        match = SETTING.match(row.strip())
        name = match[1].lower() if match else ""
        held.append(row)
        if name == "match":
            break
        if match and name == "include":
            yield path, "\n".join(held)
            held = []
            for pattern in match[2].split():
                full = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
                for one in sorted(_names(old, dirname(full))):
                    if fnmatch.fnmatchcase(one, basename(full)):
                        included = f"{dirname(full)}/{one}"
                        yield included, _text(old, included)
    yield path, "\n".join(held)


def _text(old: OldSystem, path: str) -> str:
    try:
        return old.text(path)
    except (ssh.FileTrouble, ssh.TooMuch):
        return ""


def _names(old: OldSystem, folder: str) -> list[str]:
    try:
        return old.names(folder)
    except (ssh.FileTrouble, ssh.TooMuch):
        return []
