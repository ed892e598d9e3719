"""Tell which files can be edited as text, and put what a browser sends back into their form. Pure.

A browser's text area ends every line with CR LF. So a file's own line ends, and whether its last
line has one, are taken from the file.
"""

import re

from instances.recovery.work import CannotDo

LARGEST = 200_000
#: what no text area keeps or shows: controls but tab, line feed, carriage return and form feed
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\x80-\x9f]")
LONE_RETURN = re.compile(r"\r(?!\n)")
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")


def must_be_text(data: bytes, path: str) -> None:
    """Raise ``CannotDo`` with what keeps a file from being edited here."""
    if len(data) > LARGEST:
        raise CannotDo("edit_too_large", path=path)
    if PRIVATE_KEY.search(data):
        raise CannotDo("edit_secret", path=path)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        if b"\0" not in data:
            raise CannotDo("edit_not_utf8", path=path) from None
        text = "\0"
    if CONTROLS.search(text) or LONE_RETURN.search(text):
        raise CannotDo("edit_binary", path=path)


def plain(data: bytes) -> str:
    """Return a file's text as a text area holds it: lines that end in a line feed."""
    return data.decode().replace("\r\n", "\n")


def edited(before: bytes, sent: str) -> bytes:
    """Return the file with the text that was sent.

    Lines before the first change and after the last keep their own ends; those between get the
    end that most lines of the file have.
    """
    old, new = _lines(before.decode()), _lines(sent.replace("\r\n", "\n").replace("\r", "\n"))
    ends = [end for _row, end in old if end]
    usual = "\r\n" if ends.count("\r\n") * 2 > len(ends) else "\n"
    rows = [(row, usual if end else "") for row, end in new]
    shortest = min(len(old), len(new))
    head = next((n for n in range(shortest) if old[n][0] != new[n][0]), shortest)
    left = shortest - head
    tail = next((n for n in range(left) if old[-1 - n][0] != new[-1 - n][0]), left)
    for there, here in [(n, n) for n in range(head)] + [(-1 - n, -1 - n) for n in range(tail)]:
        row, end = rows[here]
        rows[here] = (row, (old[there][1] or usual) if end else "")
    return "".join(row + end for row, end in rows).encode()


def _lines(text: str) -> list[tuple[str, str]]:
    """Split a text into lines, each with its end; the last may have none."""
    cut = [row.partition("\n") for row in re.findall(r"[^\n]*\n|[^\n]+", text)]
    return [
        (row.removesuffix("\r"), "\r\n") if end and row.endswith("\r") else (row, end)
        for row, end, _rest in cut
    ]
