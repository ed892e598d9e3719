"""Fill in a shell's words: variables, quotes, the home directory, and patterns of names."""

import fnmatch
import posixpath
import re

from democloud.machines.run import Session

VARIABLE = re.compile(r"\$(?:(\?|[A-Za-z_]\w*)|\{(\w+)\})")
ESCAPED_IN_QUOTES = '$`"\\'
#: letters with whether they were quoted, and so stand for themselves
Letters = list[tuple[str, bool]]


def expand(session: Session, raw: str) -> list[str]:
    """Return the words that a raw word stands for: one, or the names a pattern finds."""
    letters = _letters(session, raw)
    if raw == "~" or raw.startswith("~/"):
        letters[:1] = [(one, True) for one in session.user.home]
    plain = "".join(one for one, _ in letters)
    if any(one in "*?[" and not quoted for one, quoted in letters):
        pattern = "".join(f"[{one}]" if quoted and one in "*?[" else one for one, quoted in letters)
        return _names(session, pattern) or [plain]
    return [plain]


def expand_one(session: Session, raw: str) -> str:
    """Return a word without looking for names, as after > and =."""
    return "".join(one for one, _ in _letters(session, raw))


def _letters(session: Session, raw: str) -> Letters:
    found: Letters = []
    quote, at = "", 0
    while at < len(raw):
        one = raw[at]
        at += 1
        if quote == "'" and one != "'":
            found.append((one, True))
        elif one == "\\" and at < len(raw):
            if quote and raw[at] not in ESCAPED_IN_QUOTES:
                found.append((one, True))
            found.append((raw[at], True))
            at += 1
        elif one in "'\"" and quote in ("", one):
            quote = "" if quote else one
        elif one == "$" and (match := VARIABLE.match(raw, at - 1)):
            found += [(each, True) for each in _value(session, match[1] or match[2])]
            at = match.end()
        else:
            found.append((one, bool(quote)))
    return found


def _value(session: Session, name: str) -> str:
    return str(session.last) if name == "?" else session.env.get(name, "")


def _names(session: Session, pattern: str) -> list[str]:
    """Return the paths a pattern finds, sorted."""
    found = [posixpath.sep if pattern.startswith("/") else ""]
    for part in filter(None, pattern.split("/")):
        found = [longer for one in found for longer in _step(session, one, part)]
    return sorted(found)


def _step(session: Session, above: str, part: str) -> list[str]:
    ns = session.machine.ns
    try:
        names = ns.listing(session.who, session.place(above or ".").path)
    except OSError:
        return []
    if part in names or part in (".", ".."):
        return [posixpath.join(above, part)]
    hidden = part.startswith(".")
    kept = (one for one in names if fnmatch.fnmatchcase(one, part))
    return [posixpath.join(above, one) for one in kept if hidden or not one.startswith(".")]
