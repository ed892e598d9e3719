"""What is done inside the old system, with chroot: its boot, its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from instances.by_hand.goals import relabel
from instances.by_hand.place import MNT
from instances.by_hand.steps import SELINUX, Facts, Step

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

BOUND = "dev dev/pts proc sys run"
DEBIAN = ("update-initramfs -u -k all", "update-grub")
REDHAT = ("dracut --force --regenerate-all", "grub2-mkconfig -o /boot/grub2/grub.cfg")
DEBIANS = frozenset({"debian", "ubuntu"})
NETWORK = "etc/netplan etc/network etc/NetworkManager/system-connections etc/systemd/network"
FIREWALLS = "ufw nftables firewalld iptables"


def boot(facts: Facts) -> list[Step]:
    """Make kernel, initramfs and boot loader anew."""
    return [
        _enter(facts),
        Step(_("See which kernels there are"),
             _("After an update that went wrong the one before it usually still starts. A file "
               "named initrd or initramfs has to stand beside each kernel."),
             ("ls -lt /boot", "df -h /boot"), where="chroot"),
        *_rebuild(facts),
        Step(_("Put the boot loader back"),
             _("Only when the console stops at a grub prompt, or says that nothing can be "
               "booted. With UEFI the command is grub-install without a disk."),
             (f"{_grub(facts)} {facts.place.disk}",), where="chroot"),
        _leave(),
        *relabel(facts),
    ]  # fmt: skip


def _rebuild(facts: Facts) -> list[Step]:
    title = _("Make the boot files anew")
    text = _("The first command writes what a kernel loads first, the second one the boot menu.")
    if facts.distro in DEBIANS:
        return [Step(title, text, DEBIAN, where="chroot")]
    if facts.distro in SELINUX:
        return [Step(title, text, REDHAT, where="chroot")]
    return [
        Step(_on("Debian, Ubuntu"), text, DEBIAN, where="chroot"),
        Step(_on("AlmaLinux, Rocky, Fedora, openSUSE"), text, REDHAT, where="chroot"),
    ]


def _on(systems: str) -> StrOrPromise:
    return _("Make the boot files anew ({systems})").format(systems=systems)


def _grub(facts: Facts) -> str:
    return "grub2-install" if facts.distro in SELINUX else "grub-install"


def network(_facts: Facts) -> list[Step]:
    """Look at the network and keep the firewall away."""
    return [
        Step(_("Read how the network is set up"),
             _("Most of these exist only on some distributions. Compare names and addresses with "
               "what the cloud says of the instance."),
             (f"cd {MNT} && ls -l {NETWORK}; cd /",
              f"cat {MNT}/etc/netplan/*.yaml", f"cat {MNT}/etc/network/interfaces")),
        Step(_("Keep the firewall from starting"),
             _("Until you are back in. That a unit does not exist is fine: there is usually "
               "only one of them."),
             (f"for unit in {FIREWALLS}; do chroot {MNT} systemctl disable $unit; done",)),
        Step(_("Look whether SSH starts"), _("It is called ssh or sshd."),
             (f"chroot {MNT} systemctl is-enabled ssh sshd ssh.socket",
              f"chroot {MNT} sshd -t")),
    ]  # fmt: skip


def _enter(facts: Facts) -> Step:
    parts = ((facts.place.boot, "boot"), (facts.place.efi, "boot/efi"))
    also = [f"mount {device} {MNT}/{where}" for device, where in parts if device]
    binds = f"for part in {BOUND}; do mount --bind /$part {MNT}/$part; done"
    return Step(
        _("Go into the old system"),
        _("The prompt changes: from here on you work in your own system, with its own programs.")
        if also
        else _("The prompt changes: from here on you work in your own system, with its own "
               "programs. If its fstab names /boot or /boot/efi, mount them before."),
        (*also, binds, f"chroot {MNT} /bin/bash"),
    )  # fmt: skip


def _leave() -> Step:
    return Step(_("Leave it again"), _("You are back in the rescue system."), ("exit",),
                where="chroot")  # fmt: skip
