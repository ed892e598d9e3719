"""Write what a server's console would show."""

from democloud.clock import now
from democloud.machines import boots, keys
from democloud.state import Image, Region, Server

RESCUED = """\
[    0.000000] Linux version 6.1.0-40-cloud-amd64
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=rescue ro console=ttyS0,115200
[    0.612345] virtio_blk virtio0: [vda] 4194304 512-byte logical blocks (2.15 GB/2.00 GiB)
[    0.634112] virtio_blk virtio1: [vdb] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)
[    1.204410] EXT4-fs (vda1): mounted filesystem with ordered data mode.
[    2.918213] systemd[1]: Hostname set to <rescue>.
{password}
{fingerprints}
[    5.008412] sshd: Server listening on 0.0.0.0 port 22.

{image}
{name} login: """
NORMAL = """\
[    0.000000] Linux version 6.1.0-40-cloud-amd64
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=cloudimg ro console=ttyS0,115200
[    0.598120] virtio_blk virtio0: [vda] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)
[    1.731004] EXT4-fs (vda1): mounted filesystem with ordered data mode.
[    3.402218] cloud-init[412]: Cloud-init v. 22.4.2 finished at {stamp}.
{trouble}{fingerprints}

{image}
{name} login: """
FULL = """\
[    3.961187] systemd-journald[214]: Failed to create new system journal: No space left on device
"""
BROKEN = """\
[    0.000000] Linux version 6.1.0-40-cloud-amd64
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=cloudimg ro console=ttyS0,115200
[    0.598120] virtio_blk virtio0: [vda] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)
[   91.731004] systemd[1]: {problem}
[   91.731522] systemd[1]: Dependency failed for local-fs.target - Local File Systems.
You are in emergency mode. After logging in, type "journalctl -xb" to view
system logs, "systemctl reboot" to reboot, "systemctl default" or "exit"
to boot into default mode.

Cannot open access to console, the root account is locked.
See sulogin(8) man page for more details.

Press Enter to continue.
"""
FOUND = """\
[    4.107731] rescue-setup: config drive found, reading meta_data.json
[    4.322180] rescue-setup: password of root set from admin_pass"""
NOT_FOUND = "[    4.107731] rescue-setup: no admin_pass for this boot; use a key or the console"


PRINTED = "[    4.107731] rescue-setup: password of root for this boot: {}"
#: as cloud-init writes them, each line behind what syslog puts before it
FINGERPRINTS = """\
ci-info: no authorized SSH keys fingerprints found for user root.
<14>Nov 24 09:00:04 cloud-init: #############################################################
<14>Nov 24 09:00:04 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----
<14>Nov 24 09:00:04 cloud-init: 256 {fingerprint} root@{name} (ED25519)
<14>Nov 24 09:00:04 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----
<14>Nov 24 09:00:04 cloud-init: #############################################################"""


def _printed_line(server: Server, image: Image | None) -> str:
    password = boots.password_of(server, image)
    if image and image.properties.get("rescue_access") == "console":
        return PRINTED.format(password)
    return FOUND if password else NOT_FOUND


def _fingerprints(server: Server, image: Image | None, *, rescued: bool) -> str:
    """Return the block that vouches for the host key, of systems with cloud-init."""
    if not boots.starts_sshd(image) or (image and image.properties.get("os_distro") is None):
        return "[    4.611207] sshd: generating new host keys"
    fingerprint = keys.host_key(server, rescued=rescued).fingerprint
    name = "rescue" if rescued else server.hostname or "server"
    return FINGERPRINTS.format(fingerprint=fingerprint, name=name)


def boot_text(server: Server, region: Region) -> str:
    """Return plausible boot text; that of the rescue system while in RESCUE."""
    rescued = server.vm_state == "rescued"
    problem = "" if rescued else boots.why_no_login(server, region)
    if problem:
        return BROKEN.format(problem=problem)
    image = region.images.get((server.rescue_image_id if rescued else server.image_id) or "")
    text = RESCUED if rescued else NORMAL
    fingerprints = _fingerprints(server, image, rescued=rescued)
    words = {"password": _printed_line(server, image), "stamp": now().ctime()}
    words["fingerprints"] = fingerprints
    words["trouble"] = FULL if boots.is_full(server, region) else ""
    return text.format(
        **words, image=image.name if image else "Linux", name=server.hostname or "server"
    )
