"""The five repairs, each asked for, looked at, done, proven by the machine itself, and undone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instances.models import Job
from instances.recovery import jobs
from tests.instances.recovery.old_disk import GONE, facts
from tests.instances.recovery.test_password import fits

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKNAPUCGqBm1nxyYjDBNY/UlpNLZKYBqmIkkpOR3Pcds"
KEYS = "/mnt/home/admin/.ssh/authorized_keys"
SECRET = "correct horse: bätterie"
LOOKED_AT = """cd /mnt
find etc home -printf '%P %y %m %U %G %l\\n' | sort
find etc home -type f -print0 | sort -z | xargs -0 sha256sum"""

Ask = Callable[..., Any]
Tell = Callable[..., str]


@dataclass(frozen=True)
class Repair:
    """One that changes files: how it is asked for, and what shows on the disk once it is done."""

    ask: Callable[[Ask], Any]
    shows: Callable[[Tell], bool]


def _ask_key(do: Ask) -> Any:
    return do("ssh_key", user="admin", public_key=KEY, key_name="alice@work")


def _key_shows(tell: Tell) -> bool:
    right = tell("stat", "-c", "%a %u %g", KEYS).split() == ["600", "1000", "1000"]
    return right and f"{KEY} alice@work\n" in tell("cat", KEYS)


def _ask_password(do: Ask) -> Any:
    return do("password", {"password": SECRET}, user="admin")


def _password_shows(tell: Tell) -> bool:
    rows = [row.split(":") for row in tell("cat", "/mnt/etc/shadow").splitlines()]
    (hashed,) = [row[1] for row in rows if row[0] == "admin"]
    return hashed.startswith("$6$") and fits(hashed, SECRET)


def _ask_fstab(do: Ask) -> Any:
    asks = do("fstab").unsealed()["asks"]
    (wrong,) = [row for row in asks["rows"] if facts({"lines": row["told"]}) == ["fstab_missing"]]
    assert wrong["text"].startswith(GONE)
    return do("fstab", line=wrong["number"], seen=asks["seen"])


def _fstab_shows(tell: Tell) -> bool:
    return f"\n# taken out in rescue mode: {GONE} " in tell("cat", "/mnt/etc/fstab")


def _ask_edit(do: Ask) -> Any:
    asks = do("edit", path="/etc/hosts").unsealed()["asks"]
    text = asks["text"] + "\n10.0.0.9 db"
    return do("edit", {"text": text}, path=asks["path"], seen=asks["seen"])


def _edit_shows(tell: Tell) -> bool:
    return tell("cat", "/mnt/etc/hosts").endswith("10.0.0.9 db")


REPAIRS = {
    "ssh_key": Repair(_ask_key, _key_shows),
    "password": Repair(_ask_password, _password_shows),
    "fstab": Repair(_ask_fstab, _fstab_shows),
    "edit": Repair(_ask_edit, _edit_shows),
}


def repair(name: str, do: Ask, go_on: Ask, tell: Tell) -> Any:
    """Look, then do it; every step is proven on the disk. Return the job."""
    one, before = REPAIRS[name], tell("sh", "-c", LOOKED_AT)
    planned = one.ask(do)
    assert (planned.state, planned.problem) == (Job.State.PLANNED, ""), name
    assert tell("sh", "-c", LOOKED_AT) == before and not one.shows(tell)
    done = go_on(planned, jobs.confirm)
    assert (done.state, done.problem) == (Job.State.DONE, ""), name
    assert "proven" in facts(done.result) and one.shows(tell)
    return done


def repair_and_undo(name: str, do: Ask, go_on: Ask, tell: Tell) -> None:
    """Repair, and take it back: not a byte, nor an owner or a right, differs then."""
    before = tell("sh", "-c", LOOKED_AT)
    undone = go_on(repair(name, do, go_on, tell), jobs.undo)
    assert (undone.state, undone.problem) == (Job.State.UNDONE, ""), name
    assert tell("sh", "-c", LOOKED_AT) == before, name


def check_mends(device: str, do: Ask, go_on: Ask, *, codes: list[str]) -> None:
    """Have a damaged file system looked at, mended, and found sound."""
    planned = do("check", device=device)
    assert (planned.state, planned.problem) == (Job.State.PLANNED, "")
    assert facts(planned.plan)[-1] == "check_no_undo"
    done = go_on(planned, jobs.confirm)
    assert (done.state, done.problem) == (Job.State.DONE, "")
    assert facts(done.result) == codes
    assert not done.may_undo


def finds_sound(device: str, do: Ask) -> bool:
    """Tell whether a check finds nothing to mend."""
    job = do("check", device=device)
    return job.state == Job.State.DONE and facts(job.result) == ["check_clean"]
