"""Boot a server's machine: its own system, or that of the image it was rescued with."""

import json
from dataclasses import dataclass

from democloud.machines import keys, layouts
from democloud.machines.disks import Bench, Block, Disk, FileSystem
from democloud.machines.layouts import RESCUE_LABEL
from democloud.machines.machine import Machine, attach, fstab_rows, start
from democloud.machines.systems import System, label, rescue_tree, tree_of
from democloud.machines.tree import find, folder, plant, text_at
from democloud.machines.vfs import Mount
from democloud.state import Image, Region, Server, fixed_uuid

OPTIONAL = ("nofail", "noauto")


@dataclass
class Boot:
    """What came of a boot: a running machine, or why there is none."""

    machine: Machine | None
    problem: str = ""


def keeps_disks(image: Image | None) -> bool:
    """Tell whether Nova rescues with this image without moving the server's disks."""
    held = image.properties if image else {}
    return "hw_rescue_device" in held or "hw_rescue_bus" in held


def is_rescue_system(image: Image | None) -> bool:
    """Tell whether an image was made for rescuing, and is no ordinary distribution's."""
    return image is not None and ("rescue" in image.properties or keeps_disks(image))


def own_disk(server: Server, region: Region) -> Disk:
    """Return a server's own disk, as whatever was done to it has left it."""
    if server.own_disk is None:
        server.own_disk = layouts.disk_of(server, region.images.get(server.image_id))
    return server.own_disk


def rescue_machine(server: Server, region: Region) -> Boot:
    """Boot the rescue system of a server."""
    image = region.images.get(server.rescue_image_id or "")
    rescue, own = _fresh_disk(server, image), own_disk(server, region)
    if keeps_disks(image):
        disks = attach(own, *(layouts.data_disk(one) for one in server.volumes), rescue)
    else:
        disks = attach(rescue, own)
    if server.config_drive:
        disks["sr0"] = _config_drive(server, password=not keeps_disks(image))
    bench = Bench(disks)
    root, named = _root_of_rescue(bench, rescue)
    tree = root.content.root if root.content else None
    name = text_at(tree, "etc/hostname").strip() if tree else "rescue"
    kernel = System().release[1]
    return Boot(start(bench, root, name or "rescue", kernel, named))


def _root_of_rescue(bench: Bench, rescue: Disk) -> tuple[Block, str]:
    """Return what a rescue system takes for its root: with clashing names, the wrong one."""
    mine = rescue.partitions[0].content
    assert mine is not None
    by_label = mine.label == RESCUE_LABEL
    named = f"LABEL={mine.label}" if by_label else f"UUID={mine.uuid}"
    same = [
        one
        for one in bench.all()
        if one.content and one.content.root
        and (one.content.label == mine.label if by_label else one.content.uuid == mine.uuid)
    ]  # fmt: skip
    others = [one for one in same if one.content is not mine]
    return (others or same)[0], named


def _fresh_disk(server: Server, image: Image | None) -> Disk:
    if is_rescue_system(image):
        assert image is not None
        tree, named = rescue_tree(image.name), RESCUE_LABEL
        uuid = fixed_uuid("disk of image", image.id, "root")
    else:
        like = Server(**{**_plain(server), "image_id": image.id if image else ""})
        plan = layouts.Plan(like, image)
        line = [keys.pair_line(server.key_name)] if server.key_name else None
        user = layouts.cloud_user(plan.distro)
        made = System(plan.distro, plan.version, server.hostname or "rescue", user, "", line)
        tree, named, uuid = tree_of(made), layouts.ROOT_LABEL, plan.image_uuid("root")
    return layouts.rescue_disk(image, FileSystem("ext4", uuid, 0, named, tree, 600 << 20))


def _plain(server: Server) -> dict[str, object]:
    names = ("id", "name", "region", "project_id", "user_id", "flavor")
    return {name: getattr(server, name) for name in names}


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
    disk = own_disk(server, region)
    bench = Bench({**attach(disk, *(layouts.data_disk(one) for one in server.volumes))})
    problem = why_no_boot(disk)
    if problem:
        return Boot(None, problem)
    _open_all(bench)
    root = root_block(bench)
    if root is None or root.content is None or root.content.root is None:
        return Boot(None, "no root file system found")
    tree = root.content.root
    if find(tree, ".autorelabel"):
        del tree.children[".autorelabel"]
        for block in bench.all():
            if block.content and block.content.root:
                label(block.content.root)
    name = text_at(tree, "etc/hostname").strip() or server.hostname
    rows = fstab_rows(text_at(tree, "etc/fstab"))
    machine = start(bench, root, name, System().release[1], f"UUID={root.content.uuid}")
    _mount_by_fstab(machine, rows)
    return Boot(machine)


def _mount_by_fstab(machine: Machine, rows: list[list[str]]) -> None:
    for row in rows:
        block = machine.bench.find(row[0])
        if len(row) < 3 or block is None or block.content is None:
            continue
        if row[2] == "swap":
            machine.swaps.append(block.path)
        elif row[1] != "/" and block.content.root is not None:
            fs = block.content
            options = ["rw", "relatime"]
            machine.ns.mounts.append(Mount(row[1].rstrip("/"), block.path, fs, fs.root, options))  # type: ignore[arg-type]


def why_no_boot(disk: Disk) -> str:
    """Return what stops a system from starting as far as a login, nothing if it starts."""
    bench = Bench(attach(disk))
    _open_all(bench)
    root = root_block(bench)
    if root is None or root.content is None or root.content.root is None:
        return (
            ""
            if any(one.content and one.content.type == "ntfs" for one in bench.all())
            else ("no root file system found")
        )
    if root.content.damaged:
        return f"fsck of {root.path} failed: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY"
    for row in fstab_rows(text_at(root.content.root, "etc/fstab")):
        problem = _problem_of(bench, row)
        if problem:
            return problem
    return ""


def _problem_of(bench: Bench, row: list[str]) -> str:
    """Return what systemd would say of a line of fstab that holds the boot up."""
    options = row[3].split(",") if len(row) > 3 else []
    known = row[0].startswith(("UUID=", "LABEL=", "PARTUUID=", "/dev/"))
    if len(row) < 3 or not known or set(OPTIONAL) & set(options):
        return ""
    block = bench.find(row[0])
    if block is None and not (row[0].startswith("/dev/vd") and row[0][7:8] not in ("", "a")):
        return f"Timed out waiting for device {row[0]}"
    if block and block.content and row[2] not in (block.content.type, "auto", "none"):
        return f"Failed to mount {row[1]}: wrong fs type {row[2]}"
    if block and block.content and block.content.damaged:
        return f"fsck of {block.path} failed: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY"
    return ""


def root_block(bench: Bench) -> Block | None:
    """Return the device that holds a system's root: the one with an fstab."""
    for one in bench.all():
        tree = one.content.root if one.content else None
        if tree is not None and find(tree, "etc/fstab"):
            return one
    return None


def _open_all(bench: Bench) -> None:
    """Activate what the system's own boot activates."""
    bench.groups = set(bench.members())
    for one in bench.all():
        if one.content and one.content.inner:
            bench.opened["cryptroot"] = one.content.inner
