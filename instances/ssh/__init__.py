"""The only door to a rescued machine: plain facts out, a small tree of errors out.

Built on paramiko. The machine is hostile: its host key is checked before anything is said, every
answer has an end in time and in size, and nothing of what it writes gets into an error or a log.
"""

from instances.ssh.console import fingerprints_in
from instances.ssh.door import connect, greet
from instances.ssh.errors import (
    AuthRefused,
    BadKey,
    Changed,
    Denied,
    FileTrouble,
    Gone,
    HostKeyChanged,
    KeyOnly,
    LeavesRoot,
    MoreAsked,
    NoFileTransfer,
    NoSpace,
    NoSuchFile,
    NotAFile,
    NotAllowed,
    PortClosed,
    ProtocolTrouble,
    ReadOnly,
    Silent,
    SshError,
    TimedOut,
    TooMuch,
    TooOld,
    Unreachable,
)
from instances.ssh.facts import Entry, File, HostKey, Login, Output, Target
from instances.ssh.machine import Machine
from instances.ssh.shell import Shell
from instances.ssh.target import permitted

__all__ = [
    "AuthRefused",
    "BadKey",
    "Changed",
    "Denied",
    "Entry",
    "File",
    "FileTrouble",
    "Gone",
    "HostKey",
    "HostKeyChanged",
    "KeyOnly",
    "LeavesRoot",
    "Login",
    "Machine",
    "MoreAsked",
    "NoFileTransfer",
    "NoSpace",
    "NoSuchFile",
    "NotAFile",
    "NotAllowed",
    "Output",
    "PortClosed",
    "ProtocolTrouble",
    "ReadOnly",
    "Shell",
    "Silent",
    "SshError",
    "Target",
    "TimedOut",
    "TooMuch",
    "TooOld",
    "Unreachable",
    "connect",
    "fingerprints_in",
    "greet",
    "permitted",
]
