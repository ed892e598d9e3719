"""What one wants from a rescue and gets with a few files: keys, passwords, fstab, space, data."""

from __future__ import annotations

import shlex

from django.utils.translation import gettext_lazy as _

from instances.by_hand.place import MNT
from instances.by_hand.steps import Facts, Step

FSTAB = f"{MNT}/etc/fstab"
JOURNAL = f"{MNT}/var/log/journal"
REPAIRERS = {"xfs": "xfs_repair", "btrfs": "btrfs check --readonly"}


def lost_key(facts: Facts) -> list[Step]:
    """Put a public key back."""
    folder = f"{facts.home}/.ssh"
    keys = f"{folder}/authorized_keys"
    # The last line of such a file is not always ended: the new one must not be glued to it.
    put = f"printf '\\n%s\\n' {shlex.quote(facts.public_key)} >> {keys}"
    return [
        *_users(facts),
        Step(_("Make the directory of the keys"), _("If it is there already, nothing changes."),
             (f"mkdir -p {folder}",)),
        Step(
            _("Add your public key"),
            _("It is the first of your keys that the panel keeps; take another one if you like.")
            if facts.public_key
            else _("Paste it as a line of its own: the text of a file that ends in .pub."),
            (put if facts.public_key else f"nano {keys}",),
        ),
        Step(_("Give it the rights that SSH asks for"),
             _("With looser rights, or another owner, the key is ignored."),
             (f"chown -R --reference={facts.home} {folder}",
              f"chmod go-w {facts.home} && chmod 700 {folder} && chmod 600 {keys}")),
        *relabel(facts),
    ]  # fmt: skip


def lost_password(facts: Facts) -> list[Step]:
    """Give a user a new password."""
    return [
        *_users(facts),
        Step(_("Set a new password"),
             _("It is asked for twice and does not show while you type."),
             (shlex.join(["chroot", MNT, "passwd", facts.who]),)),
        Step(_("See whether SSH takes passwords"),
             _("Most cloud images say no and take keys only; the console takes the password in "
               "any case."),
             (f"grep -rn PasswordAuthentication {MNT}/etc/ssh",)),
        *relabel(facts),
    ]  # fmt: skip


def fstab(_facts: Facts) -> list[Step]:
    """Correct what is mounted at the start."""
    return [
        Step(_("Keep a copy"), "", (f"cp -a {FSTAB} {FSTAB}.before-rescue",)),
        Step(_("Compare it with what is there"),
             _("Each UUID and LABEL in the file has to appear in the list of file systems."),
             (f"cat {FSTAB}", "blkid")),
        Step(_("Correct it"),
             _("Put a # before a line whose file system is gone, or add nofail to its options: "
               "then the system starts without it."),
             (f"nano {FSTAB}",)),
        Step(_("Check it"),
             _("Mind what is said of sources and options. That a mount point is not there is no "
               "error here: it is looked for in the rescue system."),
             (f"findmnt --verify --tab-file {FSTAB}",)),
    ]  # fmt: skip


def full_disk(_facts: Facts) -> list[Step]:
    """Find and free space."""
    return [
        Step(_("See what is full"),
             _("The first line counts space, the second one files: either can be used up."),
             (f"df -h {MNT}", f"df -i {MNT}")),
        Step(_("Find what takes the space"), _("The largest directories come last."),
             (f"du -xh --max-depth=2 {MNT} | sort -h | tail -n 20",)),
        Step(_("Find large files"), "",
             (f"find {MNT} -xdev -type f -size +200M -exec ls -lh {{}} +",)),
        Step(_("Shorten the system’s journal"), _("Its newest entries stay."),
             (f"journalctl --directory {JOURNAL} --vacuum-size=100M",)),
        Step(_("Empty a log that grew"),
             _("The file stays, with nothing in it. Put its name in the place of NAME; what you "
               "delete or empty is gone."),
             (f"truncate --size 0 {MNT}/var/log/NAME",)),
        Step(_("See whether it is enough"), "", (f"df -h {MNT}",)),
    ]  # fmt: skip


def check_disk(facts: Facts) -> list[Step]:
    """Check the file system, which is not mounted for it."""
    fix = f"{REPAIRERS.get(facts.place.fstype, 'fsck -f')} {facts.device}"
    return [
        Step(_("Unmount it"),
             _("A file system that is mounted must not be repaired. “not mounted” is what you "
               "want to read."),
             (f"cd / && umount -R {MNT}",)),
        Step(_("Check and repair it"),
             _("Answer y to repair what is asked about. When the data matter and no copy exists, "
               "make one first."),
             (fix,)),
        Step(_("Check again"), _("The second time nothing should be found."), (fix,)),
    ]  # fmt: skip


def logs(_facts: Facts) -> list[Step]:
    """Read what the old system wrote down."""
    return [
        Step(_("Read the system’s journal"), _("The last 200 warnings and errors."),
             (f"journalctl --directory {JOURNAL} --priority warning --lines 200 --no-pager",)),
        Step(_("Read the log files"),
             _("Where there is no journal; the name differs between distributions."),
             (f"ls -lt {MNT}/var/log | head -n 20", f"tail -n 100 {MNT}/var/log/syslog",
              f"tail -n 100 {MNT}/var/log/messages")),
        Step(_("Read what cloud-init did"),
             _("It sets up users, keys and the network at the first start."),
             (f"grep -n -E 'WARN|ERROR|Traceback' {MNT}/var/log/cloud-init.log | tail -n 40",)),
    ]  # fmt: skip


def copy_out(facts: Facts) -> list[Step]:
    """Fetch the data onto the person’s computer."""
    if not facts.ssh:
        return [
            Step(_("Give the instance an address"),
                 _("The data leave over SSH, and no address is known here that you could reach: "
                   "start in rescue mode, or attach a floating IP."))
        ]  # fmt: skip
    tar = f"{facts.ssh} '{'sudo ' if facts.sudo else ''}tar -C {MNT}"
    return [
        Step(_("See how much it is"), "", (f"df -h {MNT}", f"du -xsh {MNT}/home {MNT}/etc")),
        Step(_("Fetch a directory"),
             _("Type it on your own computer, in another terminal. Owners and rights are kept in "
               "the file."),
             (f"{tar} -czf - home etc' > {facts.name}.tar.gz",),
             where="yours"),
        Step(_("Or fetch all of it"),
             _("Without other file systems that are mounted below."),
             (f"{tar} --one-file-system -czf - .' > {facts.name}-all.tar.gz",),
             where="yours"),
        Step(_("Look whether it arrived"), "", (f"tar -tzf {facts.name}.tar.gz | tail",),
             where="yours"),
    ]  # fmt: skip


def _users(facts: Facts) -> list[Step]:
    if facts.user:
        return []
    return [
        Step(_("See which users there are"),
             _("Take the one you log in as in the place of USER below."),
             (f"ls -l {MNT}/home",))
    ]  # fmt: skip


def relabel(facts: Facts) -> list[Step]:
    """Return the step that a system with SELinux needs after files were written from outside."""
    if not facts.may_have_selinux:
        return []
    return [
        Step(_("Have the files labelled anew"),
             _("Only on systems with SELinux, such as AlmaLinux, Rocky and Fedora: the next start "
               "takes a little longer, and what you wrote is accepted."),
             (f"test ! -e {MNT}/etc/selinux/config || touch {MNT}/.autorelabel",))
    ]  # fmt: skip
