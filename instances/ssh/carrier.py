"""paramiko made to bear a hostile server.

paramiko trusts its server in more places than we may: it waits without end, reads packets of
any length, loops as often as a packet says, and keeps whatever ignores the flow control.
"""

import logging
import threading
from typing import Any

import paramiko
from paramiko import common
from paramiko.auth_handler import AuthHandler
from paramiko.channel import Channel
from paramiko.packet import Packetizer

from instances.ssh.wire import Wire

#: OpenSSH's own limit
_MOST_IN_A_PACKET = 256 * 1024
_WINDOW = 512 * 1024
_MOST_COUNTED = 64
_KEEPALIVE = 15  # seconds

_KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
_CIPHERS = (
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
)
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

# What paramiko logs is what the machine wrote, and tracebacks of what that made of it.
_UNHEARD = "paramiko.machine"


class Carrier(paramiko.Transport):
    """paramiko's transport with today's algorithms only, and with bounds."""

    def __init__(self, wire: Wire, *, kind: str = "") -> None:
        super().__init__(wire, default_window_size=_WINDOW, packetizer_class=_Packets)
        self.wire = wire
        self.set_log_channel(_UNHEARD)
        logging.getLogger(_UNHEARD).disabled = True  # each time: Django's set-up forgets it
        self.banner_timeout = self.auth_timeout = self.clear_to_send_timeout = wire.left
        options = self.get_security_options()
        options.kex = _known(_KEX, options.kex)
        options.ciphers = _known(_CIPHERS, options.ciphers)
        options.digests = _known(_MACS, options.digests)
        # The pinned kind first: else a server with several keys shows another one of them.
        pinned_first = sorted(_KEYS, key=lambda name: not _is_kind(name, kind))
        options.key_types = _known(tuple(pinned_first), options.key_types)
        self._handler_table[common.MSG_EXT_INFO] = self._parse_few_extensions
        self._channel_handler_table = paramiko.Transport._channel_handler_table | {
            common.MSG_CHANNEL_DATA: self._feed,
            common.MSG_CHANNEL_EXTENDED_DATA: self._feed_extended,
            common.MSG_CHANNEL_FAILURE: self._ended,
            common.MSG_CHANNEL_CLOSE: self._ended,
        }

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Plain keys only: a certificate would not be the key that was pinned."""
        return tuple(self._filter_algorithm("keys"))

    def greet(self) -> None:
        """Exchange keys; whose they are is known afterwards, and nothing of ours has been sent."""
        self.start_client(timeout=self.wire.left)
        if not self.initial_kex_done:
            raise TimeoutError

    def auth_by_asking(self, user: str, handler: Any) -> list[str]:
        """Log in with keyboard-interactive."""
        done = threading.Event()
        self.auth_handler = _FewPrompts(self)
        self.auth_handler.auth_interactive(user, handler, done)
        return self.auth_handler.wait_for_response(done)

    def hush(self, channel: Channel) -> None:
        """Send nothing more on a channel, and wake who waits for it.

        paramiko would close our side at the same moment, while another thread may still be
        sending: for what comes after that OpenSSH ends the whole connection.
        """
        with channel.lock:
            channel._set_closed()

    def let_go(self, channel: Channel) -> None:
        """Close our side of a channel, after the last that is sent on it."""
        self.hush(channel)
        with channel.lock:
            owed, channel.active = channel.active, False
        channel.close()  # what is polled
        if owed:
            message = paramiko.Message()
            message.add_byte(common.cMSG_CHANNEL_CLOSE)
            message.add_int(channel.remote_chanid)
            self._send_user_message(message)

    def logged_in(self) -> None:
        """Lift the limits of before the log-in."""
        self.wire.logged_in()
        self.set_keepalive(_KEEPALIVE)

    def end(self) -> None:
        """Close everything and wait for the thread."""
        self.close()
        self.wire.close()
        if self.ident is not None:
            self.join(5)

    def _parse_disconnect(self, _message: paramiko.Message) -> None:
        self.wire.hung_up = True

    def _parse_few_extensions(self, message: paramiko.Message) -> None:
        _few(message.get_int())
        message.rewind()
        self._parse_ext_info(message)

    def _ended(self, channel: Channel, _message: paramiko.Message) -> None:
        """Note that the server has closed a channel; our side is closed by who uses it."""
        self.hush(channel)
        self._unlink_channel(channel.chanid)

    def _feed(self, channel: Channel, message: paramiko.Message) -> None:
        self._check_flow(channel)
        channel._feed(message)

    def _feed_extended(self, channel: Channel, message: paramiko.Message) -> None:
        self._check_flow(channel)
        channel._feed_extended(message)

    def _check_flow(self, channel: Channel) -> None:
        """Hang up on a server that sends more than it was given leave to."""
        if len(channel.in_buffer) + len(channel.in_stderr_buffer) > 2 * _WINDOW:
            self.wire.flooded = True
            raise paramiko.SSHException("flow control ignored")


class _Packets(Packetizer):
    """Packets of a bearable size; the wire's deadline stands for all of paramiko's timers."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _MOST_IN_A_PACKET:
            raise paramiko.SSHException("too long a packet")
        return super().read_all(n, check_rekey)

    def start_handshake(self, timeout: float) -> None:
        """Start no timer: its thread would outlive a failed connection."""


class _FewPrompts(AuthHandler):
    @property
    def _client_handler_table(self) -> dict[int, Any]:
        usual: dict[int, Any] = super()._client_handler_table
        return usual | {common.MSG_USERAUTH_INFO_REQUEST: self._parse_few_prompts}

    def _parse_few_prompts(self, message: paramiko.Message) -> None:
        for _title_instructions_language in range(3):
            message.get_binary()
        _few(message.get_int())
        message.rewind()
        self._parse_userauth_info_request(message)


def _known(wanted: tuple[str, ...], known: Any) -> tuple[str, ...]:
    """Leave out what this paramiko, or the OpenSSL below it, does not have."""
    return tuple(name for name in wanted if name in known)


def _is_kind(algorithm: str, kind: str) -> bool:
    return algorithm == kind or (kind == "ssh-rsa" and algorithm.startswith("rsa-sha2-"))


def _few(count: int) -> None:
    """A count that a packet states is looped over, whatever the packet holds."""
    if count > _MOST_COUNTED:
        raise paramiko.SSHException("a count that is not meant")
