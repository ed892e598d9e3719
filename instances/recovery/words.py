"""What the panel says of a rescued machine and of the work on it, by the codes in the rows."""

import logging
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from instances.models.machine import Reach

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.models import Job, Machine

logger = logging.getLogger(__name__)

#: how far one gets: what is so, and what to do about it
REACHES: "dict[str, tuple[StrOrPromise, StrOrPromise]]" = {
    Reach.UNTRIED: (_("Trying to log in…"), ""),
    Reach.NO_ADDRESS: (
        _("The instance has no address"),
        _("Give it one on a network you reach, or use the cloud’s console."),
    ),
    Reach.NOT_ALLOWED: (
        _("The panel does not connect to this address"),
        _("It is in a private network that the panel’s operator has not allowed. "
          "Log in from where you reach it yourself."),
    ),
    Reach.CLOSED: (
        _("Nothing answers on the SSH port yet"),
        _("The rescue system may still be starting. If it lasts, its image may have no SSH server: "
          "look at the console."),
    ),
    Reach.SILENT: (
        _("The address does not answer"),
        _("The rescue system may still be starting. If it lasts, look whether a security group "
          "or the network keeps the SSH port from the panel."),
    ),
    Reach.TROUBLE: (
        _("Something answers, but one cannot log in"),
        _("What answers does not speak SSH as it should. Look at the console."),
    ),
    Reach.NEW_KEY: (
        _("It answers. Compare its host key before the password is sent"),
        _("The rescue system did not print this key on its console, so the panel cannot tell "
          "that it is your machine. Compare the fingerprint with the console’s, if it shows one."),
    ),
    Reach.KEY_CHANGED: (
        _("The host key changed. The password was not sent"),
        _("Another machine may be answering at this address, or the rescue system was started "
          "again. Try again only when you know why."),
    ),
    Reach.REFUSED: (
        _("It answers, but refuses the temporary password"),
        _("The image may not read it, or set it late. Look at the console, or pick another image."),
    ),
    Reach.KEY_ONLY: (
        _("It answers and takes only an SSH key"),
        _("Log in with your own key; the panel has none of your private keys."),
    ),
    Reach.NO_PASSWORD: (
        _("It answers. The panel has no password that would work"),
        _("Log in yourself with what the image asks for."),
    ),
    Reach.IN: (_("Proven: the temporary password lets one in"), ""),
}  # fmt: skip

WAITING_FOR: "dict[str, StrOrPromise]" = {
    "look": _("Looking at the disks"),
    "mount": _("Mounting"),
    "unmount": _("Unmounting"),
}
TITLES: "dict[str, StrOrPromise]" = {
    "look": _("Look at the disks"),
    "mount": _("Mount on /mnt"),
    "unmount": _("Unmount"),
    "ssh_key": _("Put an SSH key back"),
    "password": _("Set a password"),
    "fstab": _("Take a line out of the fstab"),
    "edit": _("Edit a file"),
    "check": _("Check a file system"),
}
STAGES: "dict[str, StrOrPromise]" = {
    "look": pgettext_lazy("job stage", "Look"),
    "apply": pgettext_lazy("job stage", "Change"),
    "undo": pgettext_lazy("job stage", "Take back"),
}
#: what a person asked for, as a repair's page shows it
FACTS: "tuple[tuple[str, StrOrPromise], ...]" = (
    ("device", _("Device")),
    ("user", _("User on the instance")),
    ("path", _("File")),
    ("line", _("Line")),
    ("key_name", _("SSH key")),
    ("public_key", _("Public key")),
)
STATES: "dict[str, StrOrPromise]" = {
    "queued": pgettext_lazy("job", "Waiting for a worker"),
    "running": pgettext_lazy("job", "Under way"),
    "planned": pgettext_lazy("job", "Looked at, nothing changed yet"),
    "done": pgettext_lazy("job", "Done"),
    "undone": pgettext_lazy("job", "Taken back"),
    "failed": pgettext_lazy("job", "Did not work"),
    "dropped": pgettext_lazy("job", "Not done"),
}
LINES: "dict[str, StrOrPromise]" = {
    "looked": _("Disks seen: {disks}"),
    "locked": _("{device} is encrypted. The panel never asks for its pass phrase: open it in the "
                "terminal with cryptsetup open {device} old, then look at the disks again."),
    "raid_apart": _("Members of a RAID that is not put together: {devices}. The panel leaves it to "
                    "you, for it may begin to copy one disk over another: run mdadm --assemble "
                    "--scan in the terminal, read in /proc/mdstat that no disk is missing, then "
                    "look at the disks again."),
    "lvm_stays_off": _("Not all logical volumes could be switched on: {said}"),
    "mounted_ro": _("{device} is mounted on {on}, read-only. Nothing on it was changed."),
    "mounted_rw": _("{device} is mounted on {on} and can be changed."),
    "mounted_part": _("The system lies in the subvolume {folder} of {device}: that is mounted."),
    "mounted_too": _("{device} is mounted on {on}, as the old fstab says."),
    "mounted_not": _("{device} should be mounted on {on}, as the old fstab says, but cannot be: "
                     "{said}"),
    "unmounted": _("Everything is written to the disk; nothing is mounted on {on} any more."),
    "will_make_directory": _("Directory {path} gets the rights {mode} and its owner."),
    "will_make": _("{path} is made: there is none yet."),
    "will_change": _("{path} is changed. A back-up stays beside it, in {folder}."),
    "will_need_writable": _("The disk is mounted read-only: allow changes before you go on."),
    "backed_up": _("{path} was changed. As it was, it lies in {backup}."),
    "made_new": _("{path} was made."),
    "proven": _("Read again from the disk: it is as it should be."),
    "taken_back": _("{path} is as it was before."),
    "labels_lost": _("{path} may have lost its SELinux label or its access list: the rescue system "
                     "cannot copy them. With SELinux, create /.autorelabel before you exit."),
    "diff_cut": _("Only the first {lines} lines of the difference are shown."),
    # a password
    "pw_unlocked": _("The account has no password or is locked: it is unlocked."),
    "pw_expired": _("The account has expired: its end is taken away."),
    "pw_no_shell": _("{user} has {shell} as shell, which lets nobody log in; that stays as it is."),
    "pw_ssh_off": _("This system’s SSH server takes no passwords ({path}). The new one works "
                    "on the console; for SSH, edit that file or put a key back."),
    "pw_root_ssh": _("This system’s SSH server does not let root in by password "
                     "(PermitRootLogin {value}, {path}). The new one works on the console."),
    "pw_limited": _("{path} limits who may log in over SSH, or how: see whether {user} may."),
    "pw_match": _("The SSH server’s settings have Match blocks, which may say otherwise for some."),
    "pw_nologin_file": _("/etc/nologin is there: until it is removed, nobody but root logs in."),
    # the fstab
    "fstab_read": _("Lines that mount something: {count}. With something to mind: {bad}."),
    "fstab_type": _("Unknown kind of file system: {fstype}."),
    "fstab_network": _("A network share without nofail: when it does not answer, the start waits."),
    "fstab_unstable": _("{device} is a name that changes with the order of the disks, and is "
                        "another one now in rescue mode. A UUID would stay."),
    "fstab_missing": _("{device} was not found on any of the instance’s disks: the start waits for "
                       "it and then stops."),
    "fstab_missing_spared": _("{device} was not found on any of the instance’s disks. "
                              "The start goes on without it."),
    "fstab_other_type": _("It says {fstype}, but the disk holds {found}."),
    "fstab_no_nofail": _("No nofail: should this disk be missing one day, the system will not "
                         "start."),
    "fstab_twice": _("{where} is mounted by line {line} already."),
    "fstab_left": _("These lines still name something that is missing: {lines}."),
    # a file
    "edit_overtaken": _(
        "{path} was changed on the machine since you opened it, so nothing was saved. What you "
        "typed is kept below; the lines above show how it differs from the file as it is now."
    ),
    "edit_read": _("{path}, rights {mode}, owner {uid}, group {gid}. These stay as they are."),
    "edit_link": _("{path} is a link; the file it leads to is {target}."),
    "edit_crlf": _("Its lines end as on Windows (CR LF); that stays so."),
    # a check
    "check_clean": _("{device} ({fstype}) has no errors. There is nothing to mend."),
    "check_errors": _("{device} ({fstype}) has errors. Nothing was written yet."),
    "check_log": _("{device} was cut off while it was in use: its log holds changes that are "
                   "not in place yet, and what is said of errors may come from that alone."),
    "check_will_replay": _("It is mounted for a moment, which puts them in place, and unmounted. "
                           "Only if errors are left then, this command is run: {command}"),
    "check_replayed": _("{device}: its log was put in place."),
    "check_will": _("This command is run: {command}"),
    "check_no_undo": _("This cannot be taken back: there is no back-up of what a check changes. "
                       "If the data matter, copy the disk first."),
    "check_by_hand": _("The panel mends no btrfs: its repair can make things worse. Mount it "
                       "read-only and save the data, then see btrfs-check(8)."),
    "check_mended": _("{device} was mended."),
    "check_proven": _("Checked once more: no errors are left."),
    "selinux": _("This system uses SELinux. If the key is still refused after the exit, "
                 "have it label its files anew: create /.autorelabel before you exit."),
}  # fmt: skip
PROBLEMS: "dict[str, StrOrPromise]" = {
    "interrupted": _("The worker stopped in the middle. Look at the machine before you try again."),
    "no_worker": _("No worker took it in time. Nothing was done; try again."),
    "over": _("The instance is no longer in rescue mode."),
    "key_gone": _("The password made for this rescue can no longer be opened. Try again."),
    "defect": _("The panel made a mistake and stopped. Its operator can find it in the log."),
    "command_failed": _("The machine’s command {command} failed: {said}"),
    "disks_not_understood": _("What lsblk or findmnt said was not understood. Go on by hand."),
    "no_such_device": _("{device} is not among the file systems seen. Look at the disks again."),
    "mount_failed": _("{device} could not be mounted: {said}"),
    "in_use": _("{on} is in use on the machine: {said}. Leave the directory, then try again."),
    "nothing_mounted": _("Nothing is mounted on /mnt."),
    "not_mounted": _("No disk is mounted on /mnt: mount your system first."),
    "read_only": _("The disk is mounted read-only. Allow changes, then try again."),
    "not_proven": _("It was done, but looking again does not show it. Look at the machine."),
    "nothing_to_change": _("Everything is as it should be already: nothing to change."),
    "changed_since": _("The files changed since you looked. Look again."),
    "changed_after": _("{path} was changed after the repair: bring the back-up back by hand."),
    "no_shadow": _("There is no /etc/shadow on this system: set the password by hand."),
    "hash_in_passwd": _("The password of {user} is not kept in /etc/shadow: set it by hand."),
    "no_openssl": _("The rescue system has no openssl to hash the password: set it by hand, with "
                    "chroot /mnt passwd."),
    "no_fstab": _("There is no /etc/fstab on the mounted disk. Is it the one with the system?"),
    "fstab_empty": _("The fstab mounts nothing: there is no line to take out."),
    "pick_a_line": _("That line is not there any more. Read the fstab again."),
    "root_line": _("This line mounts the system itself: without it nothing starts. "
                   "Edit it instead."),
    "edit_too_large": _("{path} is too large to edit here. Edit it by hand."),
    "edit_binary": _("{path} is not a text: it has control characters in it. Edit it by hand."),
    "edit_not_utf8": _("{path} is not in UTF-8, and would be damaged here. Edit it by hand."),
    "edit_secret": _("{path} holds secrets that the panel shows nobody. For a password or a key, "
                     "use the repair for it."),
    "no_visudo": _("The rescue system has no visudo to check the file with: a mistake in it would "
                   "keep everybody from sudo. Edit it by hand, with chroot /mnt visudo."),
    "checker_refused": _("{command} finds a mistake, so nothing was changed: {said}"),
    "still_going": _("It takes longer than a job may. It goes on by itself on the machine: look "
                     "again in a while, the next check waits for it. Do not exit before."),
    "check_mounted": _("{device} is mounted or in use. Unmount it first: a check of what is in use "
                       "destroys it."),
    "check_no_tool": _("The rescue system has no {tool}: install it there, or use another image."),
    "check_failed": _("{command} could not do its work (status {status}): {said}"),
    "check_log_stuck": _("The log of {device} cannot be put in place: {said}. xfs_repair -L throws "
                         "it away, and with it the last changes: copy the disk first, then do that "
                         "by hand."),
    "check_left_safe": _("What is safe did not suffice for {device}: errors are left. "
                         "Begin again and choose to mend everything."),
    "check_left": _("{device} still has errors. What the machine said tells more; running it "
                    "again may help, else bring a back-up back."),
    "home_missing": _("The home directory {path} is not there. Is {folder} on a disk of its own "
                      "that is not mounted?"),
    "no_such_user": _("There is no user {user} on this system."),
    "bad_path": _("{path} is not a path on this system."),
    "not_a_directory": _("{path} is there and is not a directory."),
    "ssh_gone": _("The connection was lost in the middle. Look at the machine."),
    "ssh_timed_out": _("The machine took too long and was cut off. Look at the machine."),
    "ssh_too_much": _("The machine answered with more than was asked for and was cut off."),
    "ssh_auth_refused": _("The machine no longer takes the temporary password."),
    "ssh_host_key_changed": _("The machine shows another host key. The password was not sent."),
    "ssh_leaves_root": _("A symbolic link leads out of the mounted disk. Nothing was touched."),
    "ssh_no_such_file": _("The file is not there."),
    "ssh_not_a_file": _("It is not a plain file."),
    "ssh_denied": _("The machine does not allow it: the file may be protected."),
    "ssh_read_only": _("The disk is mounted read-only. Allow changes, then try again."),
    "ssh_no_space": _("The disk is full."),
    "ssh_no_file_transfer": _("The rescue system has no SFTP: go on by hand."),
    "ssh_changed": _("The files changed since you looked. Look again."),
    "ssh_file_trouble": _("The machine could not read or write the file, and does not say why."),
    "ssh_more_asked": _("The machine no longer takes the temporary password."),
    "ssh_key_only": _("The machine no longer takes the temporary password."),
}  # fmt: skip
UNREACHED = _("The machine was not reached. Look at its state, then try again.")


def reach_title(machine: "Machine") -> "StrOrPromise":
    """Say how far one gets."""
    return REACHES[machine.reach][0]


def reach_advice(machine: "Machine") -> "StrOrPromise":
    """Say what to do about it."""
    return REACHES[machine.reach][1]


def sentence(told: Any) -> str:
    """Say one line of a job's row in the reader's language."""
    code, values = told
    return str(LINES[code]).format_map(values)


def problem(job: "Job") -> str:
    """Say why a job did not work, and what to do."""
    if not job.problem:
        return ""
    return str(PROBLEMS.get(job.problem, UNREACHED)).format_map(job.problem_args)


def under_way(job: "Job") -> str:
    """Say what the machine is busy with."""
    return str(WAITING_FOR.get(job.kind, TITLES.get(job.kind, _now("Working"))))
