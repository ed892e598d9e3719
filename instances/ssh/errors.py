"""What can go wrong with a machine, told by what it means for the person who wants in."""


class SshError(Exception):
    """The machine was not reached, or did not do what was asked.

    ``code`` is a stable word for the sentence that a person reads. ``str()`` never holds a secret
    and never what the machine wrote: that is hostile text.
    """

    code = "ssh"


class NotAllowed(SshError):
    """The panel itself does not connect there.

    ``reason``: ``not_an_address``, ``port``, ``own`` (this panel's machine) or ``private``.
    """

    code = "not_allowed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# On the way there -------------------------------------------------------------------------------


class Unreachable(SshError):
    """Nothing was said: nobody has seen the machine's host key."""

    code = "unreachable"


class PortClosed(Unreachable):
    """The machine, or what stands before it, refuses the port: no SSH server runs there (yet)."""

    code = "port_closed"


class Silent(Unreachable):
    """No answer at all: no route, a security group, or a machine that still starts."""

    code = "silent"


class ProtocolTrouble(SshError):
    """What answers is no SSH server that we can speak with."""

    code = "protocol"


class TooOld(ProtocolTrouble):
    """The server only offers algorithms that are no longer safe."""

    code = "too_old"


class HostKeyChanged(SshError):
    """The host key is not the one that was accepted; ``found`` is its fingerprint. Nothing sent."""

    code = "host_key_changed"

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


# At the door ------------------------------------------------------------------------------------


class AuthRefused(SshError):
    """The server heard the password, or the key, and said no."""

    code = "auth_refused"


class MoreAsked(AuthRefused):
    """The password, or the key, was taken and the server wants a second factor."""

    code = "more_asked"


class KeyOnly(SshError):
    """The server takes no password: it was not sent."""

    code = "key_only"


class BadKey(SshError):
    """Our private key cannot be read, or is protected by a passphrase."""

    code = "bad_key"


# At work ----------------------------------------------------------------------------------------


class TimedOut(SshError):
    """It did not end in time and was cut off; whether it was done is not known."""

    code = "timed_out"


class TooMuch(SshError):
    """The machine wrote more than was asked for and was cut off."""

    code = "too_much"


class Gone(SshError):
    """The connection was lost; whether it was done is not known."""

    code = "gone"


class NoFileTransfer(SshError):
    """The server has no SFTP."""

    code = "no_file_transfer"


class FileTrouble(SshError):
    """A file could not be read or written, for no reason that the machine gives."""

    code = "file_trouble"


class NoSuchFile(FileTrouble):
    code = "no_such_file"


class NotAFile(FileTrouble):
    """A directory, a device, a pipe, a socket; or a file where a directory should be."""

    code = "not_a_file"


class LeavesRoot(FileTrouble):
    """The path leaves its root, or may: ``link`` is the symbolic link on the way, if it is one."""

    code = "leaves_root"

    def __init__(self, link: str = "") -> None:
        super().__init__(link)
        self.link = link


class Denied(FileTrouble):
    """The user may not, or the file is immutable."""

    code = "denied"


class ReadOnly(FileTrouble):
    """The file system is mounted read-only."""

    code = "read_only"


class NoSpace(FileTrouble):
    """The file system is full."""

    code = "no_space"


class Changed(FileTrouble):
    """The file is not what it was when it was read: it was not written."""

    code = "changed"
