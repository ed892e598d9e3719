"""Find and open what holds further devices: LVM and LUKS."""

import json
from typing import Any

from democloud.machines.commands.devices import find_block
from democloud.machines.commands.tables import as_table
from democloud.machines.disks import Block, FileSystem
from democloud.machines.run import Fail, Run, command, given, options, value

LVM_LONG = (
    "reportformat=", "units=", "nosuffix", "noheadings", "options=", "activate=",
    "ignoremonitoring", "sysinit", "yes", "quiet", "separator=", "all", "nameprefixes",
    "refresh", "cache", "mknodes",
)  # fmt: skip
FIELDS = {
    "pvs": ["pv_name", "vg_name", "pv_fmt", "pv_attr", "pv_size", "pv_free"],
    "vgs": ["vg_name", "pv_count", "lv_count", "snap_count", "vg_attr", "vg_size", "vg_free"],
    "lvs": ["lv_name", "vg_name", "lv_attr", "lv_size", "pool_lv", "origin"],
}
HEADS = {
    "pv_name": "PV", "vg_name": "VG", "pv_fmt": "Fmt", "pv_attr": "Attr", "pv_size": "PSize",
    "pv_free": "PFree", "pv_count": "#PV", "lv_count": "#LV", "snap_count": "#SN",
    "vg_attr": "Attr", "vg_size": "VSize", "vg_free": "VFree", "lv_name": "LV",
    "lv_attr": "Attr", "lv_size": "LSize", "pool_lv": "Pool", "origin": "Origin",
}  # fmt: skip


@command("pvs", "vgs", "lvs")
def report(run: Run, args: list[str]) -> int:
    """Report physical volumes, groups or logical volumes."""
    run.need_root("WARNING: Running as a non-root user. Functionality may be unavailable.", 5)
    found, rest = options(args, "o:ay", LVM_LONG, status=3)
    asked = value(found, "-o", "--options")
    columns = FIELDS[run.name] if not asked or asked[0] == "+" else []
    columns = [*columns, *(one for one in asked.lstrip("+").split(",") if one)]
    in_bytes = value(found, "--units") == "b"
    unit = "" if "--nosuffix" in found else "B"
    rows = [
        row
        for name, (block, group) in run.machine.bench.members().items()
        if not rest or name in rest or any(one.split("/")[0] == name for one in rest)
        for row in _rows(run, name, block, group)
    ]
    shown = [{one: _cell(row, one, unit, in_bytes=in_bytes) for one in columns} for row in rows]
    if value(found, "--reportformat") == "json":
        kind = {"pvs": "pv", "vgs": "vg", "lvs": "lv"}[run.name]
        run.say(json.dumps({"report": [{kind: shown}]}, indent=2))
    elif shown:
        heads = [HEADS.get(one, one) for one in columns]
        table = [dict(zip(heads, row.values(), strict=True)) for row in shown]
        as_table(run, heads, table, head="--noheadings" not in found)
    return 0


def _rows(run: Run, name: str, block: Block, group: FileSystem) -> list[dict[str, Any]]:
    free = group.size - sum(one.size for one in group.volumes.values())
    common: dict[str, Any] = {"vg_name": name, "vg_size": group.size, "vg_free": free}
    common |= {"vg_uuid": group.uuid, "pv_count": 1, "lv_count": len(group.volumes)}
    common |= {"snap_count": 0, "vg_attr": "wz--n-", "pv_name": block.path, "pv_fmt": "lvm2"}
    common |= {"pv_attr": "a--", "pv_size": group.size, "pv_free": free, "pv_uuid": group.uuid}
    if run.name != "lvs":
        return [common]
    active = name in run.machine.bench.groups
    return [
        common
        | {
            "lv_name": volume,
            "lv_size": fs.size,
            "lv_attr": "-wi-a-----" if active else "-wi-------",
            "lv_path": f"/dev/{name}/{volume}",
            "lv_dm_path": f"/dev/mapper/{name}-{volume}",
            "lv_active": "active" if active else "",
            "pool_lv": "",
            "origin": "",
        }
        for volume, fs in group.volumes.items()
    ]


def _cell(row: dict[str, Any], name: str, unit: str, *, in_bytes: bool) -> str:
    if name not in row:
        raise Fail(f"Unrecognised field: {name}", 3)
    if name.endswith(("_size", "_free")):
        size = int(row[name])
        return f"{size}{unit}" if in_bytes else f"{size / (1 << 30):.2f}g"
    return str(row[name])


@command("vgchange", "lvchange")
def vgchange(run: Run, args: list[str]) -> int:
    """Activate volume groups, or let them go."""
    run.need_root("WARNING: Running as a non-root user. Functionality may be unavailable.", 5)
    found, rest = options(args, "a:yK", LVM_LONG, status=3)
    wanted = value(found, "-a", "--activate")
    bench = run.machine.bench
    members = bench.members()
    names = {one.split("/")[0] for one in rest} or set(members)
    for name in sorted(names):
        if name not in members:
            run.complain(f'  Volume group "{name}" not found\n'.encode())
            run.complain(f"  Cannot process volume group {name}\n".encode())
            return 5
        if wanted.startswith("n"):
            _let_go(run, name)
        else:
            bench.groups.add(name)
        count = len(members[name][1].volumes) if name in bench.groups else 0
        run.say(f'  {count} logical volume(s) in volume group "{name}" now active')
    run.machine.show_devices()
    return 0


def _let_go(run: Run, name: str) -> None:
    fs = run.machine.bench.members()[name][1]
    for one in run.machine.ns.mounts:
        if one.fs in fs.volumes.values():
            run.complain(
                f"  Logical volume {name}/{one.source} contains a filesystem in use.\n".encode()
            )
            raise Fail("", 5)
    run.machine.bench.groups.discard(name)


@command("cryptsetup")
def cryptsetup(run: Run, args: list[str]) -> int:
    """Open, close and recognise encrypted devices."""
    run.need_root("Cannot open device, permission denied.", 1)
    found, rest = options(args, "qd:v", ("type=", "key-file=", "readonly", "batch-mode", "verbose"))
    what, *rest = rest or [""]
    if what == "isLuks":
        block = find_block(run, rest[0]) if rest else None
        return 0 if block and block.content and block.content.inner else 1
    if what == "luksUUID" and (block := find_block(run, rest[0])) and block.content:
        run.say(block.content.uuid)
        return 0
    if what in ("open", "luksOpen") and len(rest) == 2:
        return _open(run, rest[0], rest[1])
    if what in ("close", "luksClose") and rest:
        return _close(run, rest[0])
    if what == "status" and rest:
        opened = rest[0].rsplit("/", 1)[-1] in run.machine.bench.opened
        run.say(f"/dev/mapper/{rest[0]} is {'active' if opened else 'inactive'}.")
        return 0 if opened else 4
    raise Fail(f"Unknown action or missing operand. ({given(found, '-v')})", 1)


def _open(run: Run, path: str, name: str) -> int:
    block = find_block(run, path)
    if block is None or block.content is None or block.content.inner is None:
        run.complain(f"Device {path} is not a valid LUKS device.\n".encode())
        return 1
    if name in run.machine.bench.opened:
        run.complain(f"Device {name} already exists.\n".encode())
        return 5
    if run.secret(f"Enter passphrase for {path}: ") != block.content.passphrase:
        run.complain(b"No key available with this passphrase.\n")
        return 2
    run.machine.bench.opened[name] = block.content.inner
    run.machine.show_devices()
    return 0


def _close(run: Run, name: str) -> int:
    fs = run.machine.bench.opened.get(name)
    if fs is None:
        run.complain(f"Device {name} is not active.\n".encode())
        return 4
    if any(one.fs is fs for one in run.machine.ns.mounts):
        run.complain(f"Device {name} is still in use.\n".encode())
        return 5
    del run.machine.bench.opened[name]
    run.machine.show_devices()
    return 0
