"""Show block devices: lsblk, blkid, blockdev."""

import errno
import os
from typing import Any

from democloud.machines.commands.files import human
from democloud.machines.commands.tables import as_json, as_pairs, as_raw, as_table
from democloud.machines.disks import PART_TYPES, VERSIONS, Block, tags
from democloud.machines.run import Fail, Run, command, given, options, value

DEFAULT = "NAME,MAJ:MIN,RM,SIZE,RO,TYPE,MOUNTPOINTS"
WITH_FS = "NAME,FSTYPE,FSVER,LABEL,UUID,FSAVAIL,FSUSE%,MOUNTPOINTS"
LONG = (
    "json", "bytes", "output=", "paths", "noheadings", "list", "fs", "pairs", "raw", "nodeps",
    "all", "output-all", "ascii", "tree", "include=", "exclude=",
)  # fmt: skip


@command("lsblk")
def lsblk(run: Run, args: list[str]) -> int:
    """List block devices as a tree."""
    found, wanted = options(args, "JbpnlfPrdaOo:iTI:e:", LONG)
    columns = value(found, "-o", "--output", otherwise=DEFAULT).upper().split(",")
    if given(found, "-f", "--fs"):
        columns = WITH_FS.split(",")
    plain = given(found, "-b", "--bytes")
    blocks = [_wanted(run, one) for one in wanted] or run.machine.bench.blocks()
    if given(found, "-p", "--paths"):
        columns = ["PATH" if one == "NAME" else one for one in columns]
    alone = given(found, "-d", "--nodeps")
    known = _columns(run, run.machine.bench.all()[0], plain=plain)
    unknown = next((one for one in columns if one not in known), None)
    if unknown:
        raise Fail(f"unknown column: {unknown}")
    rows = [_row(run, one, columns, plain=plain, alone=alone) for one in blocks]
    head = not given(found, "-n", "--noheadings")
    if given(found, "-J", "--json"):
        as_json(run, "blockdevices", rows)
    elif given(found, "-P", "--pairs"):
        as_pairs(run, columns, rows)
    elif given(found, "-r", "--raw"):
        as_raw(run, columns, rows, head=head)
    else:
        tree = "" if given(found, "-l", "--list") else "NAME"
        as_table(run, columns, rows, head=head, tree=tree)
    return 0


def _wanted(run: Run, path: str) -> Block:
    block = find_block(run, path)
    if block is None:
        raise Fail(f"{path}: not a block device", 32)
    return block


def find_block(run: Run, path: str) -> Block | None:
    """Return the device of a path, also of one that is a link below /dev."""
    bench = run.machine.bench
    block = bench.find(path)
    if block is None and path.startswith("/"):
        try:
            block = bench.find(run.full(path))
        except OSError:
            return None
    return block


def _row(run: Run, block: Block, columns: list[str], *, plain: bool, alone: bool) -> dict[str, Any]:
    all_of_it = _columns(run, block, plain=plain)
    row = {name: all_of_it[name] for name in columns}
    if block.children and not alone:
        row["children"] = [
            _row(run, one, columns, plain=plain, alone=False) for one in block.children
        ]
    return row


def _columns(run: Run, block: Block, *, plain: bool) -> dict[str, Any]:
    fs, part, disk = block.content, block.partition, block.disk
    mounts = run.machine.mounted(block)
    targets: list[str | None] = [run.seen(one.target) for one in mounts]
    if block.path in run.machine.swaps:
        targets.append("[SWAP]")
    kind = PART_TYPES[part.kind] if part else (None, None)
    whole = block.type in ("disk", "rom")
    shown: dict[str, Any] = {
        "NAME": block.name, "KNAME": block.kernel, "PATH": block.path, "MAJ:MIN": block.numbers,
        "TYPE": block.type, "SIZE": block.size if plain else human(block.size),
        "FSTYPE": fs.type if fs else None, "FSVER": VERSIONS.get(fs.type) if fs else None,
        "LABEL": (fs.label or None) if fs else None, "UUID": fs.uuid if fs else None,
        "PARTUUID": part.uuid if part else None, "PARTTYPE": kind[1], "PARTTYPENAME": kind[0],
        "PARTLABEL": (part.label or None) if part else None,
        "PARTN": part.number if part else None,
        "MOUNTPOINT": targets[-1] if targets else None, "MOUNTPOINTS": targets or [None],
        "RO": block.read_only, "RM": block.type == "rom",
        "PKNAME": block.parent.kernel if block.parent else None,
        "MODEL": (disk.model or None) if disk and whole else None,
        "SERIAL": (disk.serial or None) if disk and whole else None,
        "PTTYPE": (disk.table or None) if disk and disk.partitions else None,
        "PTUUID": disk.uuid if disk and disk.partitions else None,
        "TRAN": "virtio" if block.type == "disk" else "sata" if block.type == "rom" else None,
        "ROTA": block.type != "rom", "STATE": "running" if block.type in ("lvm", "crypt") else None,
        "VENDOR": None, "FSSIZE": None, "FSUSED": None, "FSAVAIL": None, "FSUSE%": None,
    }  # fmt: skip
    if mounts and fs:
        sizes = {"FSSIZE": fs.size, "FSUSED": fs.used, "FSAVAIL": max(0, fs.free)}
        shown |= {name: size if plain else human(size) for name, size in sizes.items()}
        shown["FSUSE%"] = f"{100 * fs.used // max(1, fs.size)}%"
    return shown


@command("blkid")
def blkid(run: Run, args: list[str]) -> int:
    """Tell what is on devices; 2 where there is nothing to tell."""
    found, wanted = options(args, "o:s:c:pgL:U:t:", ("output=", "match-tag=", "probe"), status=4)
    for option, tag in (("-L", "LABEL"), ("-U", "UUID")):
        if option in found:
            block = run.machine.bench.find(f"{tag}={found[option]}")
            if block:
                run.say(block.path)
            return 0 if block else 2
    blocks = [find_block(run, one) for one in wanted] if wanted else run.machine.bench.all()
    for path, block in zip(wanted, blocks, strict=False):
        if block is None and given(found, "-p", "--probe"):
            run.complain(f"blkid: error: {path}: {os.strerror(errno.ENOENT)}\n".encode())
    form, kept = value(found, "-o", "--output", otherwise="full"), value(found, "-s", "--match-tag")
    shown = [(one, held) for one in blocks if one and (held := _tags(one, kept, found.get("-t")))]
    for number, (block, held) in enumerate(shown):
        if form in ("export", "udev") and number:
            run.say()
        _tell(run, block, held, form)
    return 0 if shown else 2


def _tags(block: Block, kept: str, asked: str | None) -> dict[str, str]:
    held = tags(block)
    if asked is not None:
        name, _, wanted = asked.partition("=")
        held = held if held.get(name) == wanted else {}
    return {name: value for name, value in held.items() if not kept or name == kept}


def _tell(run: Run, block: Block, held: dict[str, str], form: str) -> None:
    if form == "device":
        run.say(block.path)
    elif form == "export":
        run.say("\n".join([f"DEVNAME={block.path}", *(f"{k}={_safe(v)}" for k, v in held.items())]))
    elif form == "udev":
        run.say("\n".join(f"ID_FS_{name}={value}" for name, value in held.items()))
    elif form == "value":
        run.say("\n".join(held.values()))
    else:
        run.say(f"{block.path}: " + " ".join(f'{name}="{value}"' for name, value in held.items()))


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace(" ", "\\ ")
