"""Check the French catalogue: nothing untranslated, nothing missing, compiled file up to date."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["instances", "teams", "rescuepanel", "templates"]
CATALOGUE = Path("locale/fr/LC_MESSAGES/django.po")
#: French wants these marks on the line of the word they belong to.
LOOSE = re.compile(r"(?<=\S) (?=[;:!?»](?!\S*=))|(?<=«) ")


def gathered(folder: Path) -> polib.POFile:
    """Return the catalogue as makemessages would make it now, without touching ours."""
    for name in SOURCES:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "locale", folder / "locale", dirs_exist_ok=True)
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "fr", "--symlinks"]
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([*command, "--no-obsolete"], cwd=folder, env=environment, check=True)
    return polib.pofile(str(folder / CATALOGUE))


def problems(catalogue: polib.POFile) -> list[str]:
    """Name every text that French readers would meet in English, and a stale compiled file."""
    found = [f"not translated: {entry.msgid!r}" for entry in catalogue.untranslated_entries()]
    found += [f"fuzzy: {entry.msgid!r}" for entry in catalogue.fuzzy_entries()]
    found += [f"a space that may break: {entry.msgstr!r}" for entry in catalogue if _loose(entry)]
    if not (ROOT / CATALOGUE).with_suffix(".mo").exists():
        return [*found, "there is no compiled catalogue: run make messages"]
    compiled = polib.mofile(str((ROOT / CATALOGUE).with_suffix(".mo")))
    ours = polib.pofile(str(ROOT / CATALOGUE)).translated_entries()
    if {_pair(entry) for entry in compiled} != {_pair(entry) for entry in ours}:
        found.append("the .mo file is not made from the .po file: run make messages")
    return found


def _loose(entry: polib.POEntry) -> bool:
    if LOOSE.search(entry.msgid):  # a command, not a sentence
        return False
    return any(LOOSE.search(text) for text in (entry.msgstr, *entry.msgstr_plural.values()))


def _pair(entry: polib.POEntry | polib.MOEntry) -> tuple[str, ...]:
    return (entry.msgctxt or "", entry.msgid, entry.msgstr, *entry.msgstr_plural.values())


def main() -> int:
    """Print what is wrong; return the exit status."""
    if not shutil.which("xgettext"):
        sys.stderr.write("check_messages: gettext is missing (apt-get install gettext)\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        found = problems(gathered(Path(folder)))
    sys.stdout.write(
        "".join(f"{line}\n" for line in found) or "The French catalogue is complete.\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
