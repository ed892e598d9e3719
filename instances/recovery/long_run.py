"""Run a command on the rescued machine that may take long, and must not die with the connection.

A check that is cut off in the middle of its writing leaves a file system worse than it was. So the
machine runs it by itself; its words and its end go to a folder of the rescue system, where they are
looked for every few seconds. A later job on the same device finds it and waits for it.
"""

import re
import shlex
import time

from instances import ssh
from instances.recovery.work import CannotDo, Work, shown

FOLDER = "/run/rescue-panel-{name}"
LOOKS_EVERY = 3.0  # seconds
FIRST_LOOKS = 0.2
#: for all of a job; below the worker's own limit (instances/tasks.py), with time to say so
AT_MOST = 1080.0
BEGINS_WITHIN = 20.0
KEPT = 8000  # bytes of its last words
PROGRESS = re.compile(r"^(\d) (\d{1,9}) (\d{1,9}) /dev/\S+\s*$", re.MULTILINE)
#: how far e2fsck is when each of its passes begins, in percent; they are its own figures
PASSES = (0, 70, 90, 92, 95, 100)


def run(work: Work, name: str, *argv: str) -> ssh.Output:
    """Run a command to its end, under a name of which there is one at a time.

    Raise ``CannotDo`` ``still_going`` when it takes longer than a job may: it goes on, and whoever
    looks again waits for it. The output's ``out`` is the end of what it wrote to both streams.
    """
    folder = FOLDER.format(name=name)
    if work.machine.run("test", "-d", folder).status == 0:
        _wait(work, folder)  # for an earlier job's, if it still goes on
        work.run("rm", "-r", folder)
    work.run("mkdir", "-m", "700", folder)
    inner = (
        f"echo $$ > {folder}/pid; {shlex.join(argv)} > {folder}/said 2>&1 < /dev/null; "
        f"echo $? > {folder}/status"
    )
    begin = f"setsid sh -c {shlex.quote(inner)} > /dev/null 2>&1 < /dev/null &"
    work.run("sh", "-c", begin)
    _wait(work, folder)
    status = int(_read(work, f"{folder}/status") or -1)
    said = _said(work, folder)
    work.run("rm", "-r", folder)
    return ssh.Output(status, said.encode(), b"")


def _wait(work: Work, folder: str) -> None:
    begun, pause = time.monotonic(), FIRST_LOOKS
    while not re.fullmatch(r"\d{1,3}", _read(work, f"{folder}/status")):
        pid = _read(work, f"{folder}/pid")
        if pid.isdigit() and work.machine.run("test", "-d", f"/proc/{pid}").status != 0:
            if _read(work, f"{folder}/status"):
                continue
            return  # it was killed: nothing will tell its end
        if not pid and time.monotonic() > begun + BEGINS_WITHIN:
            raise CannotDo("command_failed", command="setsid", said="?")
        if time.monotonic() > work.began + AT_MOST:
            raise CannotDo("still_going")
        work.beat(_percent(work, folder))
        time.sleep(pause)
        pause = min(LOOKS_EVERY, pause * 1.5)


def _read(work: Work, path: str) -> str:
    """Return a short file of the rescue system; nothing while it is not there."""
    return work.machine.run("head", "-c", "100", path).out.decode(errors="replace").strip()


def _percent(work: Work, folder: str) -> int | None:
    """Tell how far a check is that says so."""
    tail = work.machine.run("tail", "-c", "300", f"{folder}/said").out.decode(errors="replace")
    told = PROGRESS.findall(tail)
    if not told:
        return None
    number, done, whole = (int(one) for one in told[-1])
    if not 1 <= number < len(PASSES) or not whole:
        return None
    begin, end = PASSES[number - 1], PASSES[number]
    return int(begin + (end - begin) * min(done, whole) / whole)


def _said(work: Work, folder: str) -> str:
    """Return the end of what it said, without its progress."""
    script = f"grep -avE '^[0-9] [0-9]+ [0-9]+ /dev/' {folder}/said | tail -c {KEPT}"
    return shown(work.machine.run("sh", "-c", script).out.decode(errors="replace")).strip()
