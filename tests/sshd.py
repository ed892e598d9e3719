"""A real OpenSSH server of the tests' own: its keys, its accounts, its /mnt."""

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from tests.services import free_port, stop, wait_until

PASSWORD = "plain words, 'quotes' and $(signs) é"
SMALL_DISK = 4 * 1024 * 1024


def program() -> str | None:
    """Return sshd, which is not on everybody's PATH."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def can_set_apart() -> bool:
    """Say whether files may be mounted where only the server sees them."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
    )
    return tried.returncode == 0


class Sshd:
    """One server. Set apart, it has passwords and a small disk on /mnt; else our key alone."""

    def __init__(self, folder: Path, *options: str, keys: tuple[str, ...] = ("ed25519",)) -> None:
        self.folder, self.port, self.apart = folder, free_port(), can_set_apart()
        self.user = getpass.getuser()
        folder.mkdir(parents=True, exist_ok=True)
        for kind in keys:
            self.make_key(f"host_{kind}", kind)
        self.private_key = self.make_key("login", "ed25519").read_text()
        shutil.copy(folder / "login.pub", folder / "authorized_keys")
        self.root = "/mnt" if self.apart else str(folder / "root")
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            *(f"HostKey {folder}/host_{kind}" for kind in keys),
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "UsePAM no",
            "PermitRootLogin yes",
            "StrictModes no",
            "PidFile none",
            "PrintMotd no",
            "MaxStartups 100",
            "Subsystem sftp internal-sftp",
            *options,
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        self.start()

    def make_key(self, name: str, kind: str) -> Path:
        path = self.folder / name
        if not path.exists():
            command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)]
            subprocess.run(command, check=True)
        return path

    def fingerprint(self, kind: str = "ed25519") -> str:
        command = ["ssh-keygen", "-lf", str(self.folder / f"host_{kind}.pub")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]

    def start(self) -> None:
        sshd = program()
        assert sshd
        command = [sshd, "-D", "-e", "-f", str(self.folder / "config")]
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        if self.apart:
            command = ["unshare", "-m", "sh", "-ec", self._apart() + 'exec "$@"', "sh", *command]
        else:
            Path(self.root).mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        # Not by connecting: a machine that is asked nothing is one test's business.
        started = b"Server listening"
        wait_until(lambda: started in (self.folder / "log").read_bytes(), "sshd starting")

    def _apart(self) -> str:
        """Give root and another account the password, for this server's eyes alone."""
        hashed = (
            subprocess.run(
                ["openssl", "passwd", "-6", "-stdin"],
                input=PASSWORD.encode(),
                check=True,
                capture_output=True,
            )
            .stdout.decode()
            .strip()
        )
        others = [
            line
            for line in Path("/etc/passwd").read_text().splitlines()
            if line.split(":")[0] not in ("root", "rescued")
        ]
        accounts = ["root:x:0:0::/root:/bin/sh", "rescued:x:4242:4242::/tmp:/bin/sh", *others]
        (self.folder / "passwd").write_text("\n".join(accounts) + "\n")
        shadows = [f"{name}:{hashed}:20000:0:99999:7:::" for name in ("root", "rescued")]
        (self.folder / "shadow").write_text("\n".join(shadows) + "\n")
        self.folder.chmod(0o755)
        return (
            f"mount --bind {self.folder}/passwd /etc/passwd\n"
            f"mount --bind {self.folder}/shadow /etc/shadow\n"
            f"mount -t tmpfs -o size={SMALL_DISK} tmpfs /mnt\n"
        )

    def stop(self) -> None:
        stop(self.process)
