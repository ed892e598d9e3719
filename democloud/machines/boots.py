"""Boot a server's machine: its own system, or that of the image it was rescued with."""

import json
from dataclasses import dataclass, replace

from democloud.machines import keys, layouts, people
from democloud.machines.disks import Bench, Block, Disk, FileSystem
from democloud.machines.layouts import RESCUE_LABEL, ROOT_LABEL
from democloud.machines.machine import Machine, attach, fstab_rows, start
from democloud.machines.systems import System, label, rescue_tree, tree_of
from democloud.machines.tree import Node, find, folder, plant, text_at
from democloud.machines.vfs import Mount
from democloud.state import Image, Region, Server, fixed_uuid

OPTIONAL = ("nofail", "noauto")
KERNEL = System().release[1]
NO_ROOT = "no root file system found"


@dataclass
class Boot:
    """What came of a boot: a running machine, or why nobody can log in."""

    machine: Machine | None
    problem: str = ""


def keeps_disks(image: Image | None) -> bool:
    """Tell whether Nova rescues with this image without moving the server's disks."""
    held = image.properties if image else {}
    return "hw_rescue_device" in held or "hw_rescue_bus" in held


def is_rescue_system(image: Image) -> bool:
    """Tell whether an image was made for rescuing, and is no ordinary distribution's."""
    return "rescue" in image.properties or keeps_disks(image)


def password_of(server: Server, image: Image | None) -> str:
    """Return the password that root of a rescue system gets; nothing when none reaches it."""
    held = image.properties if image else {}
    if held.get("rescue_access") == "console":
        return keys.printed_password(server)
    # Nova writes a fresh config drive, but attaches the old one when the image keeps the disks.
    reaches = server.config_drive and not keeps_disks(image)
    reads = "rescue" in held and held.get("rescue_access", "password") == "password"
    return server.rescue_password if reaches and reads else ""


def entry_of(server: Server, image: Image | None) -> str:
    """Return root's entry in a rescue system's /etc/shadow: a hash in the metadata comes first."""
    held = image.properties if image else {}
    left = server.metadata.get("rescue_password_hash", "")
    if held.get("rescue_password_metadata") == "true" and left.startswith("$6$"):
        return left
    password = password_of(server, image)
    return people.hashed(password) if password else "*"


def starts_sshd(image: Image | None) -> bool:
    """Tell whether an image holds a system that answers SSH."""
    if image is None or image.properties.get("os_distro") == "windows":
        return False
    return is_rescue_system(image) or "os_distro" in image.properties


def own_disk(server: Server, region: Region) -> Disk:
    """Return a server's own disk, as whatever was done to it has left it."""
    if server.own_disk is None:
        server.own_disk = layouts.disk_of(server, region.images.get(server.image_id))
    return server.own_disk


def boot(server: Server, region: Region) -> Boot:
    """Boot what a server is to run now."""
    rescued = server.vm_state == "rescued"
    return rescue_machine(server, region) if rescued else own_machine(server, region)


def rescue_machine(server: Server, region: Region) -> Boot:
    """Boot the rescue system of a server."""
    image = region.images.get(server.rescue_image_id or "")
    if image is None or not starts_sshd(image):
        return Boot(None, "nothing on this image answers SSH")
    mine, own = _root_of(server, image), own_disk(server, region)
    people.set_password(mine.tree, "root", entry_of(server, image))
    rescue = layouts.rescue_disk(image, mine)
    if keeps_disks(image):
        disks = attach(own, *(layouts.data_disk(one) for one in server.volumes), rescue)
    else:
        disks = attach(rescue, own)
    if server.config_drive:
        disks["sr0"] = _config_drive(server, password=not keeps_disks(image))
    bench = Bench(disks)
    by_label = mine.label == RESCUE_LABEL
    root, fs = _taken_for_root(bench, mine, by_label=by_label)
    if by_label and fs is not mine:  # made from a rescue image itself, it reads the password too
        people.set_password(fs.tree, "root", entry_of(server, image))
    named = f"LABEL={mine.label}" if by_label else f"UUID={mine.uuid}"
    name = text_at(fs.tree, "etc/hostname").strip() or "rescue"
    return Boot(start(bench, root, fs, name, KERNEL, named))


def _taken_for_root(bench: Bench, mine: FileSystem, *, by_label: bool) -> tuple[Block, FileSystem]:
    """Return what a rescue system takes for its root: with clashing names, the wrong one."""
    same = [
        (block, fs)
        for block, fs in _trees(bench)
        if (fs.label == mine.label if by_label else fs.uuid == mine.uuid)
    ]
    return next(((block, fs) for block, fs in same if fs is not mine), same[0])


def _trees(bench: Bench) -> list[tuple[Block, FileSystem]]:
    """Return the devices that hold files, with their file systems."""
    held = ((one, one.content) for one in bench.all())
    return [(block, fs) for block, fs in held if fs is not None and fs.root is not None]


def _root_of(server: Server, image: Image) -> FileSystem:
    """Return the root of a rescue system, fresh from its image."""
    line = [keys.pair_line(server.key_name)] if server.key_name else []
    if is_rescue_system(image):
        user = image.properties.get("rescue_user", "debian")
        by_key = image.properties.get("rescue_access") == "key"
        tree = rescue_tree(image.name, user, line if by_key else None)
        uuid = fixed_uuid("disk of image", image.id, "root")
        return FileSystem("ext4", uuid, 0, RESCUE_LABEL, tree, 600 << 20)
    plan = layouts.Plan(replace(server, image_id=image.id, own_disk=None), image)
    user, name = layouts.cloud_user(plan.distro), server.hostname or "rescue"
    made = System(plan.distro, plan.version, name, user, keys=line or None)
    return FileSystem("ext4", plan.image_uuid("root"), 0, ROOT_LABEL, tree_of(made), 600 << 20)


def _config_drive(server: Server, *, password: bool) -> Disk:
    """Return the config drive: with a rescue, the one place that holds the password."""
    words = {"uuid": server.id, "hostname": server.hostname, "name": server.name}
    if password:
        words["admin_pass"] = server.rescue_password
    root = folder(0o555)
    plant(root, "openstack/latest/meta_data.json", json.dumps(words), 0o444)
    fs = FileSystem("iso9660", "2026-11-24-00-00-00-00", 494592, "config-2", root)
    return Disk(494592, "", content=fs, model="QEMU DVD-ROM", table="", read_only=True)


def own_machine(server: Server, region: Region) -> Boot:
    """Boot a server's own system, as far as its disk lets it."""
    bench, problem = _own_bench(server, region), why_no_login(server, region)
    found = _system_on(bench)
    if found is None or problem:
        return Boot(None, problem)
    root, fs = found
    _relabel(bench, fs.tree)
    name = text_at(fs.tree, "etc/hostname").strip() or server.hostname
    machine = start(bench, root, fs, name, KERNEL, f"UUID={fs.uuid}")
    _mount_by_fstab(machine, fstab_rows(text_at(fs.tree, "etc/fstab")))
    return Boot(machine)


def _relabel(bench: Bench, tree: Node) -> None:
    """Give all files their SELinux contexts anew when /.autorelabel asks for it."""
    if find(tree, ".autorelabel"):
        del tree.children[".autorelabel"]
        for _, fs in _trees(bench):
            label(fs.tree)


def _mount_by_fstab(machine: Machine, rows: list[list[str]]) -> None:
    for row in rows:
        block = machine.bench.find(row[0])
        fs = block.content if block else None
        if len(row) < 3 or block is None or fs is None:
            continue
        if row[2] == "swap":
            machine.swaps.append(block.path)
        elif row[1] != "/" and fs.root is not None:
            where = row[1].rstrip("/")
            machine.ns.mounts.append(Mount(where, block.path, fs, fs.tree, ["rw", "relatime"]))


def _own_bench(server: Server, region: Region) -> Bench:
    """Return a server's disks as its own system sees them."""
    disk = own_disk(server, region)
    bench = Bench(attach(disk, *(layouts.data_disk(one) for one in server.volumes)))
    _open_all(bench)
    return bench


def why_no_login(server: Server, region: Region) -> str:
    """Return what stops a server's own system before a login, nothing if it starts."""
    bench = _own_bench(server, region)
    found = _system_on(bench)
    if found is None:
        windows = any(one.content and one.content.type == "ntfs" for one in bench.all())
        return "" if windows else NO_ROOT
    root, fs = found
    if fs.damaged:
        return f"fsck of {root.path} failed: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY"
    rows = fstab_rows(text_at(fs.tree, "etc/fstab"))
    return next((problem for row in rows if (problem := _problem_of(bench, row))), "")


def is_full(server: Server, region: Region) -> bool:
    """Tell whether no space is left on the file system of a server's own system."""
    found = _system_on(_own_bench(server, region))
    return found is not None and found[1].free <= 0


def _problem_of(bench: Bench, row: list[str]) -> str:
    """Return what systemd would say of a line of fstab that holds the boot up."""
    options = row[3].split(",") if len(row) > 3 else []
    known = row[0].startswith(("UUID=", "LABEL=", "PARTUUID=", "/dev/"))
    if len(row) < 3 or not known or set(OPTIONAL) & set(options):
        return ""
    block = bench.find(row[0])
    if block is None:
        return f"Timed out waiting for device {row[0]}"
    if block.content and row[2] not in (block.content.type, "auto", "none"):
        return f"Failed to mount {row[1]}: wrong fs type {row[2]}"
    if block.content and block.content.damaged:
        return f"fsck of {block.path} failed: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY"
    return ""


def _system_on(bench: Bench) -> tuple[Block, FileSystem] | None:
    """Return the device that holds a system's root: the one with an fstab."""
    return next(((one, fs) for one, fs in _trees(bench) if find(fs.tree, "etc/fstab")), None)


def _open_all(bench: Bench) -> None:
    """Activate what the system's own boot activates."""
    bench.groups = set(bench.members())
    for one in bench.all():
        if one.content and one.content.inner:
            bench.opened["cryptroot"] = one.content.inner
