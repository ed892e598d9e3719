"""Write what a server's console would show."""

from democloud.clock import now
from democloud.state import Image, Region, Server

RESCUED = """\
[    0.000000] Linux version 6.1.0-40-cloud-amd64
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=rescue ro console=ttyS0,115200
[    0.612345] virtio_blk virtio0: [vda] 4194304 512-byte logical blocks (2.15 GB/2.00 GiB)
[    0.634112] virtio_blk virtio1: [vdb] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)
[    1.204410] EXT4-fs (vda1): mounted filesystem with ordered data mode.
[    2.918213] systemd[1]: Hostname set to <rescue>.
{password}
[    5.008412] sshd: Server listening on 0.0.0.0 port 22.

{image}
{name} login: """
NORMAL = """\
[    0.000000] Linux version 6.1.0-40-cloud-amd64
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=LABEL=cloudimg ro console=ttyS0,115200
[    0.598120] virtio_blk virtio0: [vda] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)
[    1.731004] EXT4-fs (vda1): mounted filesystem with ordered data mode.
[    3.402218] cloud-init[412]: Cloud-init v. 22.4.2 finished at {stamp}.

{image}
{name} login: """


FOUND = """\
[    4.107731] rescue-setup: config drive found, reading meta_data.json
[    4.322180] rescue-setup: password of root set from admin_pass"""
NOT_FOUND = "[    4.107731] rescue-setup: no admin_pass for this boot; use a key or the console"


def _password_line(server: Server, image: Image | None) -> str:
    # Nova writes a fresh config drive, but attaches the old one when the image keeps the disks.
    reaches = (
        server.config_drive and image is not None and "hw_rescue_device" not in image.properties
    )
    return FOUND if reaches else NOT_FOUND


def boot_text(server: Server, region: Region) -> str:
    """Return plausible boot text; that of the rescue system while in RESCUE."""
    rescued = server.vm_state == "rescued"
    image = region.images.get((server.rescue_image_id if rescued else server.image_id) or "")
    text = RESCUED if rescued else NORMAL
    words = {"password": _password_line(server, image), "stamp": now().ctime()}
    return text.format(
        **words, image=image.name if image else "Linux", name=server.hostname or "server"
    )
