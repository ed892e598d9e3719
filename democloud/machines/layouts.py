"""Lay out the disks of the demo's servers: some sound, each of the others with its own trouble."""

from dataclasses import dataclass
from itertools import pairwise

from democloud.machines import keys
from democloud.machines.disks import GIB, MIB, Disk, FileSystem, Partition
from democloud.machines.systems import System, tree_of, wrong_key
from democloud.machines.tree import Owner, folder, plant, plant_folder
from democloud.state import Image, Server, fixed_uuid

ROOT_LABEL = "cloudimg-rootfs"
RESCUE_LABEL = "rescue"
#: what `Server.disk` may say; the seed names one where the trouble is not the usual
KINDS = (
    "sound",
    "lost-key",
    "wrong-key",
    "open-home",
    "bad-fstab",
    "damaged",
    "full",
    "lvm",
    "luks",
    "swap-home",
    "clash",
    "xfs",
    "ntfs",
)
MISSING_UUID = "3c9d5b1e-8a77-4f0e-9d34-0b6a51f2c7aa"


@dataclass
class Plan:
    """What is being laid out: for which server, from which image."""

    server: Server
    image: Image | None

    def uuid(self, *words: str) -> str:
        """Return an id of this disk's own."""
        return fixed_uuid("disk", self.server.id, *words)

    def image_uuid(self, *words: str) -> str:
        """Return an id that all disks made from the image share."""
        return fixed_uuid("disk of image", self.server.image_id or self.server.id, *words)

    @property
    def distro(self) -> str:
        """Return which distribution it is."""
        return self._property("os_distro", "debian")

    @property
    def version(self) -> str:
        """Return which version of it."""
        return self._property("os_version", "12")

    @property
    def size(self) -> int:
        """Return the size of the disk."""
        return max(1, self.server.flavor.disk) * GIB

    def _property(self, name: str, otherwise: str) -> str:
        return self.image.properties.get(name, otherwise) if self.image else otherwise


def cloud_user(distro: str) -> str:
    """Return the user that a distribution's cloud image lets in."""
    return distro if distro in ("debian", "ubuntu", "almalinux", "centos") else "debian"


def disk_of(server: Server, image: Image | None) -> Disk:
    """Return a server's disk as it is before anyone repaired it."""
    plan = Plan(server, image)
    kind = server.disk
    if plan.distro == "windows" or kind == "ntfs":
        return _windows(plan)
    if kind == "lvm":
        return _lvm(plan)
    if kind == "luks":
        return _luks(plan)
    if kind == "xfs" or (plan.distro == "almalinux" and kind in ("sound", "lost-key")):
        return _almalinux(plan)
    return _cloud_image(plan)


def rescue_disk(image: Image | None, tree_root: FileSystem) -> Disk:
    """Return the disk of a rescue system, fresh from its image."""
    words = image.id if image else "rescue"
    size = max(2 * GIB, (image.min_disk if image else 2) * GIB)
    disk = Disk(size, fixed_uuid("disk of image", words, "table"))
    tree_root.size = size - 128 * MIB
    disk.partitions = _with_boot_parts(words, tree_root)
    return disk


def data_disk(volume: str) -> Disk:
    """Return a volume: one file system on all of it."""
    root = folder()
    plant(root, "README", "Everything that is not on the system's own disk.\n")
    plant_folder(root, "lost+found", 0o700, Owner())
    fs = FileSystem("ext4", fixed_uuid("volume", volume), 20 * GIB, "data", root, 3 * GIB)
    return Disk(20 * GIB, "", content=fs, serial=volume[:20])


def _with_boot_parts(words: str, root: FileSystem) -> list[Partition]:
    """Return the partitions of a Debian or Ubuntu cloud image."""

    def uuid(name: str) -> str:
        return fixed_uuid("disk of image", words, name)

    short = uuid("efi")[:8].upper()
    efi = FileSystem("vfat", f"{short[:4]}-{short[4:]}", 124 * MIB, "UEFI", folder(0o700), 8 * MIB)
    return [
        Partition(1, root.size, "root-x86", uuid("part1"), root),
        Partition(14, 3 * MIB, "bios", uuid("part14")),
        Partition(15, 124 * MIB, "efi", uuid("part15"), efi),
    ]


def _cloud_image(plan: Plan) -> Disk:
    kind = plan.server.disk
    label = RESCUE_LABEL if kind == "clash" else ROOT_LABEL
    fs = FileSystem("ext4", plan.image_uuid("root"), plan.size - 128 * MIB, label, taken=GIB)
    efi = plan.image_uuid("efi")[:8].upper()
    lines = [
        f"UUID={fs.uuid} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1",
        f"UUID={efi[:4]}-{efi[4:]} /boot/efi vfat defaults 0 0",
    ]
    parts = _with_boot_parts(plan.server.image_id or plan.server.id, fs)
    if kind == "swap-home":
        lines += _add_swap_and_home(plan, fs, parts)
    if kind == "bad-fstab":
        lines.append(f"UUID={MISSING_UUID} /srv/data ext4 defaults 0 2")
    fs.root = tree_of(_system(plan, lines))
    plant_folder(fs.root, "boot/efi")
    plant_folder(fs.root, "srv/data")
    parts[0].size = fs.size
    _add_trouble(plan, fs)
    if kind == "swap-home" and parts[-1].content:
        parts[-1].content.root = fs.root.children["home"]
        fs.root.children["home"] = folder()
    return Disk(plan.size, plan.image_uuid("table"), parts, serial=plan.server.id[:20])


def _add_swap_and_home(plan: Plan, fs: FileSystem, parts: list[Partition]) -> list[str]:
    half = (plan.size - 2 * GIB) // 2
    fs.size = plan.size - half - 2 * GIB - 128 * MIB
    swap = FileSystem("swap", plan.uuid("swap"), GIB, "swap")
    home = FileSystem("ext4", plan.uuid("home"), half, "home", taken=200 * MIB)
    parts.append(Partition(16, GIB, "swap", plan.uuid("part16"), swap))
    parts.append(Partition(17, half, "linux", plan.uuid("part17"), home))
    return [f"UUID={swap.uuid} none swap sw 0 0", f"UUID={home.uuid} /home ext4 defaults 0 2"]


def _add_trouble(plan: Plan, fs: FileSystem) -> None:
    kind = plan.server.disk
    if kind == "damaged":
        fs.damaged = True
        plant_folder(fs.tree, "lost+found", 0o700, Owner())
    if kind == "full":
        log = plant(fs.tree, "var/log/app/debug.log", "DEBUG request took 3 ms\n" * 40)
        log.bulk = fs.free + fs.size // 20
    if kind == "open-home":
        home = fs.tree.children["home"].children[cloud_user(plan.distro)]
        home.mode = 0o777


def _system(plan: Plan, fstab: list[str]) -> System:
    server = plan.server
    lines = [f"{keys.pair_line(server.key_name)}"] if server.key_name else None
    if server.disk in ("lost-key", "clash", "swap-home", "lvm", "luks"):
        lines = []
    if server.disk == "wrong-key":
        lines = [wrong_key()]
    text = "# /etc/fstab: static file system information.\n" + "".join(f"{one}\n" for one in fstab)
    user = cloud_user(plan.distro)
    name = server.hostname or "server"
    passwords = server.disk == "clash"
    return System(plan.distro, plan.version, name, user, text, lines, passwords)


def _almalinux(plan: Plan) -> Disk:
    root = FileSystem("xfs", plan.image_uuid("root"), plan.size - 1201 * MIB, "root", taken=GIB)
    boot = FileSystem("xfs", plan.image_uuid("boot"), GIB, "BOOT", taken=180 * MIB)
    short = plan.image_uuid("efi")[:8].upper()
    efi = FileSystem("vfat", f"{short[:4]}-{short[4:]}", 200 * MIB, "EFI", folder(0o700), 8 * MIB)
    root.root = tree_of(
        _system(plan, [
            f"UUID={root.uuid} / xfs defaults 0 0",
            f"UUID={boot.uuid} /boot xfs defaults 0 0",
            f"UUID={efi.uuid} /boot/efi vfat defaults,uid=0,gid=0,umask=077,shortname=winnt 0 2",
        ])
    )  # fmt: skip
    boot.root, root.root.children["boot"] = root.root.children["boot"], folder(0o555)
    plant_folder(boot.root, "efi")
    parts = [
        Partition(1, MIB, "bios", plan.image_uuid("part1"), label="biosboot"),
        Partition(2, 200 * MIB, "efi", plan.image_uuid("part2"), efi, "EFI System Partition"),
        Partition(3, GIB, "boot", plan.image_uuid("part3"), boot, "boot"),
        Partition(4, root.size, "root-x86", plan.image_uuid("part4"), root, "root"),
    ]
    return Disk(plan.size, plan.image_uuid("table"), parts, serial=plan.server.id[:20])


def _lvm(plan: Plan) -> Disk:
    """Return a disk whose system lies on logical volumes, with /boot beside them."""
    size = plan.size - 1100 * MIB
    group = FileSystem("LVM2_member", _lvm_uuid(plan.uuid("pv")), size, group="vg0")
    root = FileSystem("ext4", plan.uuid("root"), size // 2, taken=GIB)
    var = FileSystem("ext4", plan.uuid("var"), size // 4, taken=500 * MIB)
    swap = FileSystem("swap", plan.uuid("swap"), GIB)
    group.volumes = {"root": root, "swap": swap, "var": var}
    boot = FileSystem("ext4", plan.uuid("boot"), 974 * MIB, "boot", taken=80 * MIB)
    root.root = tree_of(
        _system(plan, [
            "/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1",
            f"UUID={boot.uuid} /boot ext4 defaults 0 2",
            "/dev/mapper/vg0-var /var ext4 defaults 0 2",
            "/dev/mapper/vg0-swap none swap sw 0 0",
        ])
    )  # fmt: skip
    boot.root, root.root.children["boot"] = root.root.children["boot"], folder()
    var.root, root.root.children["var"] = root.root.children["var"], folder()
    parts = [
        Partition(1, 974 * MIB, "linux", plan.uuid("part1"), boot),
        Partition(2, size, "lvm", plan.uuid("part2"), group),
        Partition(14, 3 * MIB, "bios", plan.uuid("part14")),
    ]
    return Disk(plan.size, plan.uuid("table"), parts, serial=plan.server.id[:20])


def _luks(plan: Plan) -> Disk:
    """Return a disk whose system is encrypted; the pass phrase is `demo`."""
    inner = FileSystem("ext4", plan.uuid("root"), plan.size - 1116 * MIB, taken=GIB)
    outer = FileSystem("crypto_LUKS", plan.uuid("luks"), plan.size - 1100 * MIB)
    outer.inner, outer.passphrase = inner, "demo"
    boot = FileSystem("ext4", plan.uuid("boot"), 974 * MIB, "boot", taken=80 * MIB)
    lines = [
        "/dev/mapper/cryptroot / ext4 errors=remount-ro 0 1",
        f"UUID={boot.uuid} /boot ext4 defaults 0 2",
    ]
    system = _system(plan, lines)
    system.extra["etc/crypttab"] = f"cryptroot UUID={outer.uuid} none luks\n"
    inner.root = tree_of(system)
    boot.root, inner.root.children["boot"] = inner.root.children["boot"], folder()
    parts = [
        Partition(1, 974 * MIB, "linux", plan.uuid("part1"), boot),
        Partition(2, outer.size, "linux", plan.uuid("part2"), outer),
        Partition(14, 3 * MIB, "bios", plan.uuid("part14")),
    ]
    return Disk(plan.size, plan.uuid("table"), parts, serial=plan.server.id[:20])


def _windows(plan: Plan) -> Disk:
    root = folder(0o777)
    for path in ("Windows/System32/config", "Users/Administrator/Desktop", "Program Files"):
        plant_folder(root, path)
    plant(root, "Windows/System32/config/SAM", b"regf" + bytes(60))
    plant(root, "pagefile.sys", bytes(16)).bulk = 2 * GIB
    main = FileSystem("ntfs", "5A3C8E7F3C8E5623", plan.size - 117 * MIB, "", root, 9 * GIB)
    efi = FileSystem("vfat", "C4B5-0E11", 100 * MIB, "", folder(0o700), 30 * MIB)
    parts = [
        Partition(1, 100 * MIB, "efi", plan.image_uuid("part1"), efi, "EFI system partition"),
        Partition(2, 16 * MIB, "reserved", plan.image_uuid("part2"), None,
                  "Microsoft reserved partition"),
        Partition(3, main.size, "data", plan.image_uuid("part3"), main, "Basic data partition"),
    ]  # fmt: skip
    return Disk(plan.size, plan.image_uuid("table"), parts, serial=plan.server.id[:20])


def _lvm_uuid(uuid: str) -> str:
    plain = uuid.replace("-", "")
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(plain[start:end] for start, end in pairwise(cuts))
