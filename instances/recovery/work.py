"""What a piece of work on a rescued machine is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from instances import ssh
from instances.disks import Disks
from instances.models import Machine

MNT = "/mnt"

#: a sentence for people: its code and what goes into it, see ``words``
Line = tuple[str, dict[str, Any]]


def line(code: str, **values: Any) -> Line:
    """Return a sentence by its code."""
    return code, values


class CannotDo(Exception):
    """The work cannot be done; ``code`` names the sentence that says why and what to do."""

    def __init__(self, code: str, *, output: str = "", **values: Any) -> None:
        """``output``: what a command said, for the job's row."""
        super().__init__(code)
        self.code, self.values, self.output = code, values, output


@dataclass
class Outcome:
    """What a look or the work itself showed: sentences, and what a later step needs to know."""

    lines: list[Line] = field(default_factory=list)
    #: what nobody but the one who asked should read, sealed in the job's row
    private: dict[str, Any] = field(default_factory=dict)
    #: what was made by the work and is shown once to whoever asked for it, sealed until then
    once: dict[str, Any] = field(default_factory=dict)
    #: what undoing needs, in the job's result; without it there is nothing to take back
    kept: dict[str, Any] = field(default_factory=dict)
    #: what a command said, for the row and the report
    output: str = ""
    #: the look has shown all there is: there is nothing to say yes to
    final: bool = False
    #: the look only asks for more, see ``private["asks"]``: what is said to it is a new job
    ready: bool = True


@dataclass
class Work:
    """One job under way: the machine one is logged in to, and what was asked."""

    machine: ssh.Machine
    row: Machine
    params: dict[str, Any]
    private: dict[str, Any]
    kept: dict[str, Any]
    stamp: str
    look_again: Callable[[], Disks]
    #: tell that the work goes on, and how far it is in percent where that is known
    beat: Callable[[int | None], None] = field(default=lambda _percent: None)
    began: float = field(default_factory=time.monotonic)

    def run(self, *argv: str, timeout: float = 30) -> ssh.Output:
        """Run a command; raise ``CannotDo`` with the machine's own words when it fails."""
        output = self.machine.run(*argv, timeout=timeout)
        if output.status != 0:
            raise CannotDo("command_failed", command=argv[0], said=words_of(output))
        return output

    def has_directory(self, path: str) -> bool:
        """Tell whether a directory is there, inside /mnt and not by a link."""
        try:
            return self.machine.lstat(path, root=MNT).kind == "dir"
        except ssh.FileTrouble:
            return False


class Kind:
    """A kind of work: ``plan`` changes nothing, ``apply`` does it, ``undo`` takes it back."""

    key: ClassVar[str]
    #: the person sees what would be done, and says yes, before it is done
    asks_first: ClassVar[bool] = True
    seconds: ClassVar[int] = 60

    def plan(self, work: Work) -> Outcome:
        """Say what would be done; raise ``CannotDo``."""
        raise NotImplementedError

    def apply(self, work: Work) -> Outcome:
        """Do it and prove it; raise ``CannotDo``."""
        raise NotImplementedError

    def undo(self, work: Work) -> Outcome:
        """Bring back what was; raise ``CannotDo``."""
        raise NotImplementedError


def words_of(output: ssh.Output) -> str:
    """Return a command's own last words, on one line and without what a terminal would act on."""
    text = (output.err or output.out)[-600:].decode(errors="replace")
    return shown(" ".join(text.split()))[:300]


def shown(text: str) -> str:
    """Return a text of the machine without what steers a terminal or turns the writing round."""
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)
