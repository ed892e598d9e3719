"""A customer's server that locked its owner out, made of the image's own Debian."""

import os
import shutil
import subprocess
from pathlib import Path

MIB = 1024 * 1024
ROOT_MIB, SWAP_MIB = 720, 16
KEYS = "home/admin/.ssh/authorized_keys"
FSTAB = "LABEL=web-1-root / ext4 defaults 0 1\nLABEL=web-1-swap none swap sw 0 0\n"
INIT = """#!/bin/busybox sh
bb=/bin/busybox
$bb mkdir -p /dev /proc /sys /root
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
for module in virtio_pci virtio_blk crc32c_generic ext4; do $bb modprobe $module; done
until [ -b /dev/vda1 ]; do $bb sleep 0.1; done
$bb mount -t ext4 /dev/vda1 /root
$bb mount -o move /dev /root/dev
exec $bb switch_root /root /sbin/init
"""
GRUB = "linux /boot/vmlinuz console=tty0 console=ttyS0,115200\ninitrd /boot/initrd\nboot\n"
NETWORK = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"


def build(rescue_image: Path, folder: Path) -> Path:
    """Return the disk; admin's own key is not on it, and its folder has wrong rights."""
    folder.mkdir(parents=True)
    tree = _unpacked(rescue_image, folder)
    _furnish(tree)
    _make_bootable(tree, folder)
    disk = folder / "web-1.raw"
    with disk.open("wb") as image:
        image.truncate((1 + ROOT_MIB + SWAP_MIB) * MIB)
    table = f"label: dos\nstart=1MiB, size={ROOT_MIB}MiB, type=83, bootable\ntype=82\n"
    _run("sfdisk", "--quiet", str(disk), stdin=table)
    _put(disk, folder / "boot.img", 0, length=440)
    _put(disk, folder / "core.img", 512)
    root, swap = folder / "root.img", folder / "swap.img"
    _run(
        "mke2fs", "-q", "-t", "ext4", "-L", "web-1-root", "-d", str(tree), str(root), f"{ROOT_MIB}M"
    )
    _put(disk, root, MIB)
    with swap.open("wb") as image:
        image.truncate(SWAP_MIB * MIB)
    _run("mkswap", "--quiet", "--label", "web-1-swap", str(swap))
    _put(disk, swap, (1 + ROOT_MIB) * MIB)
    shutil.rmtree(tree)
    for part in (root, swap):
        part.unlink()
    return disk


def _unpacked(rescue_image: Path, folder: Path) -> Path:
    """Return the tree of the system that lies in the rescue image; its kernel lies beside."""
    raw, fat = folder / "rescue.raw", f"{folder / 'rescue.raw'}@@1M"
    _run("qemu-img", "convert", "-O", "raw", str(rescue_image), str(raw))
    _run("mcopy", "-i", fat, "::vmlinuz", "::initrd", str(folder))
    with (folder / "initrd").open("rb") as archive:
        take = ["cpio", "--quiet", "-id", "rescue.squashfs"]
        subprocess.run(take, cwd=folder, stdin=archive, check=True)
    tree = folder / "tree"
    _run("unsquashfs", "-quiet", "-no-progress", "-d", str(tree), str(folder / "rescue.squashfs"))
    for done in ("rescue.raw", "initrd", "rescue.squashfs"):
        (folder / done).unlink()
    return tree


def _furnish(tree: Path) -> None:
    """Make a server of it, which takes admin's key alone."""
    for ours in [
        *tree.glob("etc/systemd/system/**/rescue-*"),
        *tree.glob("usr/local/sbin/rescue-*"),
    ]:
        ours.unlink()
    (tree / "etc/ssh/sshd_config.d/rescue.conf").write_text("PasswordAuthentication no\n")
    (tree / "etc/hostname").write_text("web-1\n")
    (tree / "etc/fstab").write_text(FSTAB)
    (tree / "etc/systemd/network/all.network").write_text(NETWORK)
    _run(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tree}/etc/ssh/ssh_host_ed25519_key"
    )
    with (tree / "etc/passwd").open("a") as users:
        users.write("admin:x:1000:1000:Admin,,,:/home/admin:/bin/bash\n")
    with (tree / "etc/group").open("a") as groups:
        groups.write("admin:x:1000:\n")
    with (tree / "etc/shadow").open("a") as shadow:
        shadow.write("admin:*:20000:0:99999:7:::\n")
    keys = tree / KEYS
    keys.parent.mkdir(parents=True)
    keys.write_text("ssh-ed25519 damaged\n")
    for path in (keys, keys.parent, keys.parent.parent):
        os.chown(path, 1000, 1000)
        path.chmod(0o777)


def _make_bootable(tree: Path, folder: Path) -> None:
    initrd = folder / "initrd.tree"
    (initrd / "bin").mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", initrd / "bin/busybox")
    (initrd / "init").write_text(INIT)
    (initrd / "init").chmod(0o755)
    (version,) = os.listdir(tree / "lib/modules")
    for module in ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4"):
        asked = ["chroot", str(tree), "modprobe", "-S", version, "--show-depends", module]
        for line in _run(*asked).splitlines():
            if line.startswith("insmod "):
                to = initrd / line.split()[1].lstrip("/")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(tree / line.split()[1].lstrip("/"), to)
    for index in (tree / "lib/modules" / version).glob("modules.*"):
        shutil.copy(index, initrd / "lib/modules" / version)
    packed = subprocess.run(
        "find . -mindepth 1 | cpio --quiet -o -H newc", shell=True, cwd=initrd,
        check=True, capture_output=True,
    )  # fmt: skip
    (tree / "boot/initrd").write_bytes(packed.stdout)
    shutil.move(folder / "vmlinuz", tree / "boot/vmlinuz")
    (tree / "boot/grub").mkdir()
    (tree / "boot/grub/grub.cfg").write_text(GRUB)
    core = ["grub-mkimage", "-O", "i386-pc", "-p", "(,msdos1)/boot/grub", "-o", "/tmp/core.img"]
    modules = ["biosdisk", "part_msdos", "ext2", "linux", "normal"]
    _run("chroot", str(tree), *core, *modules)
    shutil.move(tree / "tmp/core.img", folder / "core.img")
    shutil.copy(tree / "usr/lib/grub/i386-pc/boot.img", folder / "boot.img")


def _put(disk: Path, what: Path, at: int, *, length: int | None = None) -> None:
    some = ["iflag=count_bytes", f"count={length}"] if length else []
    _run("dd", f"if={what}", f"of={disk}", "bs=64k", f"seek={at}", "oflag=seek_bytes",
         "conv=notrunc,sparse", "status=none", *some)  # fmt: skip


def _run(*command: str, stdin: str | None = None) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
