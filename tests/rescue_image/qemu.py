"""A virtual machine as Nova's libvirt driver makes it: its disks in order, a serial console."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from instances.ssh import HostKey, SshError, Target, greet
from tests.services import free_port, stop, wait_until

PROGRAM = "qemu-system-x86_64"
UEFI = "/usr/share/ovmf/OVMF.fd"
MEMORY = "768"  # what rescue-image/README.md asks for, in MiB
RESPONDER = Path(__file__).with_name("metadata.py")


class Vm:
    """One start of a machine; its disks are changed in place."""

    def __init__(
        self,
        folder: Path,
        *disks: Path,
        config_drive: Path | None = None,
        metadata: object = None,
        uefi: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.disks, self.address = disks, address
        self.serial, self.port = folder / "serial.log", free_port()
        machine = ["q35", "-bios", UEFI] if uefi else ["pc"]
        command = [PROGRAM, "-machine", *machine, "-cpu", "max", "-accel", "tcg", "-smp", "2"]
        command += ["-m", MEMORY, "-nodefaults", "-vga", "std", "-display", "none"]
        command += ["-no-reboot", "-serial", f"file:{self.serial}"]
        for disk in disks:
            command += ["-drive", f"file={disk},if=virtio,format={_format(disk)}"]
        if config_drive:
            command += ["-drive", f"file={config_drive},media=cdrom,format=raw,readonly=on"]
        network = f"user,id=net,hostfwd=tcp:{address}:{self.port}-:22"
        if metadata is not None:
            network += "," + _metadata_service(folder, metadata)
        command += ["-netdev", network, "-device", "virtio-net-pci,netdev=net"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(["nice", "-n", "10", *command], stdout=subprocess.DEVNULL)

    @property
    def target(self) -> Target:
        return Target(self.address, self.port, ("127.0.0.0/8",))

    @property
    def console(self) -> str:
        """Return what the machine wrote on its serial port."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def wait_for(self, words: str, seconds: float = 600) -> None:
        """Wait for words on the console; fail with what stands there."""
        deadline = time.monotonic() + seconds
        while words not in self.console:
            panic = "Kernel panic" in self.console
            if panic or self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {words!r} on the console:\n{self.console[-3000:]}")
            time.sleep(0.2)

    def greeting(self, seconds: float = 120) -> HostKey:
        """Return the host key, once the SSH server is there: maybe after the login prompt."""
        found: list[HostKey] = []

        def greeted() -> bool:
            try:
                found.append(greet(self.target, timeout=20))
            except SshError:
                return False
            return True

        wait_until(greeted, "SSH", seconds)
        return found[-1]

    def gone(self, seconds: float = 120) -> None:
        """Wait until the machine has switched itself off."""
        self.process.wait(seconds)

    def stop(self) -> None:
        """Take its power away."""
        stop(self.process)


def config_drive(folder: Path, metadata: object) -> Path:
    """Make a config drive as Nova does: ISO 9660, labelled config-2."""
    latest = folder / "drive" / "openstack" / "latest"
    latest.mkdir(parents=True)
    (latest / "meta_data.json").write_text(json.dumps(metadata))
    image = folder / "disk.config"
    make = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "config-2", "-J", "-r", "-o"]
    subprocess.run([*make, str(image), str(folder / "drive")], check=True, capture_output=True)
    return image


def copy_on_write(base: Path, to: Path) -> Path:
    """Make a disk that begins as another one, which stays as it is."""
    make = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", _format(base), "-b"]
    subprocess.run([*make, str(base.resolve()), str(to)], check=True)
    return to


def empty(disk: Path, mib: int = 48) -> Path:
    """Make a disk with nothing on it."""
    with disk.open("wb") as raw:
        raw.truncate(mib * 1024 * 1024)
    return disk


def written(disk: Path) -> int:
    """Return how many bytes of a copy differ from its base, also while a machine runs from it."""
    ask = ["qemu-img", "map", "--force-share", "--output=json", str(disk)]
    parts = json.loads(subprocess.run(ask, check=True, capture_output=True).stdout)
    return sum(part["length"] for part in parts if part["depth"] == 0 and part["present"])


def why_not() -> str:
    """Return what is missing to run machines here; nothing when they can be run."""
    tools = (PROGRAM, "qemu-img", "xorriso", "unsquashfs", "mke2fs", "mkswap", "sfdisk", "mcopy")
    where = "/usr/bin:/usr/sbin:/sbin:/bin"
    missing = [tool for tool in tools if not shutil.which(tool, path=where)]
    return f"not installed: {', '.join(missing)} (rescue-image/system-packages)" if missing else ""


def _format(disk: Path) -> str:
    return "qcow2" if disk.suffix == ".qcow2" else "raw"


def _metadata_service(folder: Path, metadata: object) -> str:
    """Let the machine's network have a metadata service, asked afresh by each connection."""
    (folder / "meta_data.json").write_text(json.dumps(metadata))
    answer = f"{sys.executable} {RESPONDER} {folder}"
    network = "net=169.254.169.0/24,host=169.254.169.2,dns=169.254.169.3,dhcpstart=169.254.169.15"
    return f"{network},guestfwd=tcp:169.254.169.254:80-cmd:{answer}"
