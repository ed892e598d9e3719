"""Tell which files can be edited as text, and put what a browser sends back into their form. Pure.

A browser's text area ends every line with CR LF. So a file's own line ends, and whether its last
line has one, are taken from the file.
"""

import re

LARGEST = 200_000
#: what no text area keeps or shows: controls but tab, line feed, carriage return and form feed
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\x80-\x9f]")
LONE_RETURN = re.compile(r"\r(?!\n)")
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")


def why_not(data: bytes) -> str:
    """Return the code of what keeps a file from being edited here; nothing when it can be."""
    if len(data) > LARGEST:
        return "edit_too_large"
    if PRIVATE_KEY.search(data):
        return "edit_secret"
    if b"\0" in data:
        return "edit_binary"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "edit_not_utf8"
    if CONTROLS.search(text) or LONE_RETURN.search(text):
        return "edit_binary"
    return ""


def plain(data: bytes) -> str:
    """Return a file's text as a text area holds it: lines that end in a line feed."""
    return data.decode().replace("\r\n", "\n")


def edited(before: bytes, sent: str) -> bytes:
    """Return the file with the text that was sent.

    Lines before the first change and after the last keep their own ends; those between get the
    end that most lines of the file have.
    """
    old, new = _lines(before.decode()), _lines(sent.replace("\r\n", "\n").replace("\r", "\n"))
    returned = sum(end == "\r\n" for _row, end in old)
    usual = "\r\n" if returned and returned * 2 >= len(old) - 1 else "\n"
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
