"""Read an ``/etc/fstab`` line by line (fstab(5)), so that it can be changed without losing one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Entry:
    """One line that mounts something; ``number`` counts from 1."""

    number: int
    device: str
    where: str
    fstype: str
    options: tuple[str, ...]
    text: str

    @property
    def needed_to_boot(self) -> bool:
        """The boot waits for it: neither left out nor allowed to fail."""
        return not {"nofail", "noauto"} & set(self.options)


def entries(text: str) -> Iterator[Entry]:
    """Yield the lines that mount something: no comments, nothing below three columns."""
    for number, one in enumerate(text.split("\n"), 1):  # nothing else ends a line here
        columns = one.split()
        if len(columns) < 3 or columns[0].startswith("#"):
            continue
        device, where, fstype = (_plain(column) for column in columns[:3])
        options = tuple(columns[3].split(",")) if len(columns) > 3 else ("defaults",)
        yield Entry(number, device, where, fstype, options, one)


def commented_out(text: str, numbers: set[int], note: str) -> str:
    """Return the text with some lines made comments; every other byte stays."""
    lines = text.split("\n")
    for number in numbers:
        lines[number - 1] = f"# {note}: {lines[number - 1]}"
    return "\n".join(lines)


def _plain(column: str) -> str:
    return OCTAL.sub(lambda found: chr(int(found[1], 8)), column)
