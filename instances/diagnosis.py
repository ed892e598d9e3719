"""What ails a machine, from what it wrote on its console. Pure; the text is hostile.

Whatever ran on the machine could write there, so a finding is a hint with its evidence, never a
fact. Bounded: the end of the text alone is read, line by line, each cut.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

MOST_TEXT = 400_000  # signs; Nova's own hosts keep 100 KiB
MOST_LINES, LONGEST_LINE, SHOWN = 6000, 600, 200

#: what firmware, boot loader and kernel say first: what stands before it is of an earlier boot
_BOOT = re.compile(
    r"SeaBIOS \(version|BdsDxe: (?:loading|starting) Boot|UEFI firmware \(version|"
    r"Booting from (?:Hard Disk|ROM)|\[ {0,8}0\.0{6}\] {1,8}(?:Linux version |Booting Linux on )"
)
_ESCAPES = re.compile(
    r"\x1b\[[0-9;:?<=>!]{0,40}[ -/]{0,4}[@-~]|\x1b\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]{0,4}[0-~]"
)
#: lines that may hold what nobody should read here
_SECRET = re.compile(r"passw|secret|token|credential", re.IGNORECASE)
_LOGIN = re.compile(r"(?:^|[\s\w.-])login: ?$")


class Confidence(IntEnum):
    POSSIBLE = 1
    LIKELY = 2
    VERY_LIKELY = 3


@dataclass(frozen=True)
class Sign:
    """What a line says of a fault. A fault that ``stops`` the boot is over when a login follows."""

    fault: str
    pattern: re.Pattern[str]
    confidence: Confidence = Confidence.VERY_LIKELY


@dataclass(frozen=True)
class Found:
    """A fault with the line that shows it best."""

    fault: str
    confidence: Confidence
    line: str


@dataclass(frozen=True)
class Diagnosis:
    """What a console tells; ``booted``: it ends with a login prompt."""

    found: tuple[Found, ...] = ()
    booted: bool = False
    empty: bool = False
    last_line: str = ""


def _sign(fault: str, confidence: Confidence, *texts: str) -> Sign:
    return Sign(fault, re.compile("|".join(texts), re.IGNORECASE), confidence)


#: a cause comes before what follows from it
FAULTS = (
    "fsck", "disk_full", "fstab", "root_missing", "grub", "kernel_panic", "no_network",
    "cloud_init",
)  # fmt: skip
STOPS = frozenset({"fsck", "fstab", "root_missing", "grub", "kernel_panic"})
_SURE, _LIKELY, _POSSIBLE = Confidence.VERY_LIKELY, Confidence.LIKELY, Confidence.POSSIBLE
#: words of the kernel, systemd, initramfs-tools, dracut, e2fsprogs, xfs, GRUB and cloud-init
SIGNS = (
    _sign("fsck", _SURE, r"UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY",
          r"fsck exited with status code [4-9]", r"Unmount and run xfs_repair",
          r"The root filesystem on \S{1,80} requires a manual fsck"),
    _sign("fsck", _LIKELY, r"EXT4-fs error \(device", r"XFS \(\S{1,40}\): .{0,40}corruption",
          r"Failed to start .{0,20}File System Check", r"structure needs cleaning",
          r"BTRFS (?:error|critical).{0,80}(?:corrupt|parent transid)"),
    _sign("disk_full", _SURE, r"No space left on device"),
    _sign("disk_full", _LIKELY, r"\bENOSPC\b", r"Free space:? is below", r"disk is full"),
    _sign("fstab", _SURE, r"Timed out waiting for device [^.]{0,120}\S",
          r"Failed to mount (?!/?sysroot)\S{1,120}", r"mount: \S{0,120}: can't find (?:UUID|LABEL)",
          r"Dependency failed for (?!local-fs|.{0,20}Local File Systems|/?sysroot)"
          r"(?:/\S{1,120}|.{0,60}\.mount)"),
    _sign("fstab", _LIKELY, r"Dependency failed for .{0,40}Local File Systems",
          r"You are in emergency mode", r"Welcome to emergency mode"),
    _sign("fstab", _POSSIBLE, r"A start job is running for (?:dev-disk|/dev/disk)"),
    _sign("root_missing", _SURE, r"VFS: (?:Unable to mount root fs|Cannot open root device)",
          r"ALERT! {1,4}\S{1,120} does not exist",
          r"Gave up waiting for root (?:file system )?device",
          r"dracut-initqueue.{0,40}(?:timeout|Could not boot)", r"Failed to mount /?sysroot",
          r"Warning: /dev/\S{1,120} does not exist"),
    _sign("root_missing", _LIKELY, r"^\(initramfs\)", r"Entering emergency mode\. Exit the shell",
          r"^dracut:/#"),
    _sign("grub", _SURE, r"grub rescue>", r"^error: (?:\S{1,60}: )?no such (?:device|partition)",
          r"^error: unknown filesystem",
          r"^error: (?:\S{1,60}: )?file .{0,80}(?:\.mod|/vmlinuz.{0,80}|/initr.{0,80})' not found",
          r"Boot failed: not a bootable disk", r"No bootable (?:device|option|medium)"),
    _sign("grub", _LIKELY, r"Minimal BASH-like line editing", r"^grub>"),
    _sign("kernel_panic", _SURE, r"Kernel panic - not syncing"),
    _sign("kernel_panic", _POSSIBLE, r"\bOops: \d", r"BUG: (?:unable to handle|soft lockup)"),
    _sign("no_network", _LIKELY,
          r"Failed to start .{0,60}(?:Wait for Network|Network Manager Wait Online)",
          r"Failed to start .{0,30}(?:Raise network interfaces|Network Configuration)",
          r"ci-info: \| {1,8}e\w{1,14} {1,8}\| {1,4}False",
          r"Network is unreachable", r"No DHCPOFFERS received"),
    _sign("no_network", _POSSIBLE, r"A start job is running for .{0,20}Wait for Network",
          r"169\.254\.169\.254.{0,200}(?:timed out|failed|unreachable|refused)"),
    _sign("cloud_init", _LIKELY, r"Failed to start .{0,60}(?:cloud-init|Cloud-init|Initial cloud)",
          r"cloud-init\[\d+\]: .{0,200}(?:Traceback|CRITICAL|\[ERROR\])"),
    _sign("cloud_init", _POSSIBLE, r"cloud-init.{0,200}(?:Failed running|\[WARNING\])",
          r"Failed to run module", r"cc_[a-z_]{3,40}\.py\[WARNING\]"),
)  # fmt: skip


def diagnose(console_text: str) -> Diagnosis:
    """Name what likely ails a machine, the likeliest first, by its last boot."""
    lines = last_boot(console_text)
    if not lines:
        return Diagnosis(empty=True)
    login = next((n for n in range(len(lines) - 1, -1, -1) if _LOGIN.search(lines[n])), -1)
    best: dict[str, Found] = {}
    for number, line in enumerate(lines):
        for sign in SIGNS:
            if sign.pattern.search(line):
                _keep(best, sign, line, over=number < login and sign.fault in STOPS)
    found = sorted(best.values(), key=lambda one: (-one.confidence, FAULTS.index(one.fault)))
    stopped = any(one.fault in STOPS and one.confidence > _POSSIBLE for one in found)
    return Diagnosis(
        found=tuple(found), booted=login >= 0 and not stopped, last_line=_shown(lines[-1])
    )


def _keep(best: dict[str, Found], sign: Sign, line: str, *, over: bool) -> None:
    """Keep the first line of the highest confidence; what a login followed is no more than that."""
    confidence = _POSSIBLE if over else sign.confidence
    known = best.get(sign.fault)
    if known is None or known.confidence < confidence:
        best[sign.fault] = Found(sign.fault, confidence, _shown(line))


def _shown(line: str) -> str:
    """Return a line as people may see it: a rescue system may print its password."""
    return "" if _SECRET.search(line) else line[:SHOWN]


def last_boot(console_text: str) -> list[str]:
    """Return the last boot's lines, without what a terminal would act on."""
    text = _ESCAPES.sub("", console_text[-MOST_TEXT:]).replace("\t", " ")
    boots = [boot.start() for boot in _BOOT.finditer(text)]
    if boots:
        text = text[boots[-1] :]
    cut = (line[:LONGEST_LINE] for line in re.split(r"[\r\n]+", text)[-MOST_LINES:])
    shown = ("".join(c if c.isprintable() else "�" for c in line).strip() for line in cut)
    return [line for line in shown if line]
