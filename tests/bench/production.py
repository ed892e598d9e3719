"""The panel as it is deployed, behind TLS, with the demo's cloud: what ``make demo`` is not."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from rescuepanel.environment import new_key
from tests.panel import PASSWORD, Panel
from tests.services import ROOT, listens, running_democloud, stop, wait_until

READ = """
from instances import inventory
from teams.models import CloudAccount
inventory.due_accounts()
for account in CloudAccount.objects.all(): inventory.read_all(account.pk)
from instances.models import Instance
print(Instance.objects.count())
"""


class Deployed(Panel):
    """A panel with production's settings, in a folder of its own."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return what each of its processes gets: no demo, copied static files, secure cookies."""
        given = super().environment() | {"STATIC_ROOT": str(self.folder / "static")}
        return {name: value for name, value in given.items() if name not in ("DEMO", "DEMO_DIR")}

    def certificate(self) -> tuple[str, str]:
        """Make a key and a certificate for this machine; return their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        signed = builder.sign(key, hashes.SHA256())
        key_path, path = self.folder / "key.pem", self.folder / "certificate.pem"
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.write_bytes(signed.public_bytes(Encoding.PEM))
        return str(key_path), str(path)

    def web(self) -> "subprocess.Popen[bytes]":
        """Start its web process."""
        key, certificate = self.certificate()
        return self.spawn(
            "web", "uvicorn", "rescuepanel.asgi:application", "--port", str(self.port),
            "--ssl-keyfile", key, "--ssl-certfile", certificate, "--no-access-log",
        )  # fmt: skip


@contextmanager
def deployed(folder: Path, seed: str = "demo") -> Iterator[str]:
    """Run its web process, the list read once; yield the address, where alice may sign in."""
    with running_democloud("--seed", seed) as keystone:
        port = keystone.split(":")[2].split("/")[0]
        clouds = subprocess.run(
            [sys.executable, "-m", "democloud", "--port", port, "--print-clouds-yaml"],
            cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
        (folder / "clouds.yaml").write_text(clouds)
        panel = Deployed(
            folder, OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"),
            SECRET_KEY=secrets.token_urlsafe(64), ENCRYPTION_KEYS=new_key(),
            ALLOWED_HOSTS="panel.example.org",
        )  # fmt: skip
        panel.redis.start()
        panel.manage("migrate", "-v0")
        panel.manage("collectstatic", "--noinput", "-v0")
        panel.manage("create_team", "Acme", "--owner", "alice@example.org", text=f"{PASSWORD}\n")
        panel.manage("connect_cloud", "Acme", "--os-cloud", "acme", "--os-region", "Demo-GRA")
        panel.manage("shell", "-v0", "-c", READ)
        web = panel.web()
        try:
            wait_until(lambda: listens(panel.port), "the panel's start", 30)
            yield panel.url
        finally:
            stop(web)
            panel.redis.stop()
