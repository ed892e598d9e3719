"""All that a chaos run plays on: real services, the panel's processes, proxies between them."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import ROOT, Postgres, RedisServer, free_port, listens, stop, wait_until

#: so many that some are there while others are killed and started again
WEBS, WORKERS = 3, 5
BETWEEN_WEB = tuple(f"web{n}" for n in range(WEBS))
LINKS = ("redis", "postgres", "cloud", *BETWEEN_WEB)


class Told:
    """A process that takes one JSON object a line and answers each with one."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str], log: Path) -> None:
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], cwd=ROOT, env=env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self.lock = threading.Lock()

    def ready(self) -> None:
        if self._line().strip() != "ready":
            raise RuntimeError("a process of the harness did not start")

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def ask(self, **order: Any) -> Any:
        with self.lock:
            assert self.process.stdin
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            return json.loads(self._line())

    def end(self) -> None:
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.close()
        stop(self.process)


@dataclass
class Part:
    """One process of the panel, which is started again when it died."""

    name: str
    role: str
    command: list[str]
    pid: int = 0
    spared: bool = False  # nobody kills it

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return self.pid > 0


class Stage:
    """The services, the panel and what may be done to them."""

    def __init__(self, folder: Path, servers: str, without: str = "") -> None:
        self.folder, self.without = folder, without
        self.redis = RedisServer(folder)
        self.postgres = Postgres(folder / "postgres")
        self.cloud_port = free_port()
        self.web_ports = [free_port() for _web in range(WEBS)]
        self.proxied = {name: free_port() for name in LINKS}
        self.doom = folder / "doom"
        self.doom.mkdir()
        self.servers = servers
        self.kills: Counter[str] = Counter()
        self.starts = 0
        self.lock = threading.RLock()
        self.keeping = False
        self.parts = self._parts()

    def _parts(self) -> list[Part]:
        worker = ["worker", "-c", "4", "-l", "info", "--without-gossip", "--without-mingle", "-n"]
        beat = ["beat", "-l", "info", "--pidfile=", "-s"]
        parts = [Part(f"web{n}", "web", [str(port)]) for n, port in enumerate(self.web_ports)]
        parts += [Part(f"worker{n}", "worker", [*worker, f"w{n}@%h"]) for n in range(WORKERS)]
        if self.without != "sweeper":
            parts += [
                Part(f"beat{n}", "beat", [*beat, str(self.folder / f"schedule{n}")])
                for n in range(2)
            ]
        return parts

    # Starting and ending ------------------------------------------------------------------------

    def environment(self, *, direct: bool = False) -> dict[str, str]:
        """Return what the panel's processes get; ``direct`` leaves the proxies out."""
        redis_port = self.redis.port if direct else self.proxied["redis"]
        database_port = self.postgres.port if direct else self.proxied["postgres"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        return kept | {
            "DJANGO_SETTINGS_MODULE": "rescuepanel.settings",
            "DEMO": "1",
            "DEMO_DIR": str(self.folder),
            "SECRET_KEY": "only-for-this-run-" + "x" * 40,
            "ENCRYPTION_KEYS": "A" * 43 + "=",
            "DATABASE_URL": f"postgres://panel@127.0.0.1:{database_port}/postgres",
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "CLOUD_PRIVATE_NETWORKS": "127.0.0.0/8",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
            "DOOM_DIR": str(self.doom),
            "CHAOS_WITHOUT": self.without,
        }

    def open(self) -> None:
        """Start the services, but nothing of the panel."""
        self.redis.start()
        self.postgres.start()
        ports = {"redis": self.redis.port, "postgres": self.postgres.port, "cloud": self.cloud_port}
        ports |= {f"web{n}": port for n, port in enumerate(self.web_ports)}
        links = [f"{name}={self.proxied[name]}:{ports[name]}" for name in LINKS]
        env, log = self.environment(), self.folder / "harness.log"
        self.proxy = Told("tests.chaos.proxy", *links, env=env, log=log)
        with (self.folder / "democloud.log").open("ab") as cloud_log:
            self.cloud = subprocess.Popen(
                [sys.executable, "-m", "democloud", "--port", str(self.cloud_port), "--seed",
                 f"many:{self.servers}"],
                cwd=ROOT, stdout=cloud_log, stderr=cloud_log,
            )  # fmt: skip
        self.proxy.ready()
        wait_until(lambda: listens(self.cloud_port), "the demo cloud's start", 30)

    def run(self) -> None:
        """Start the panel, and keep its processes alive from now on."""
        self.warm = self._warmed()
        self.keeping = True
        threading.Thread(target=self._keep, daemon=True).start()
        wait_until(lambda: all(map(listens, self.web_ports)), "the panel's start", 30)

    def _warmed(self) -> Told:
        warm = Told("tests.chaos.warm", env=self.environment(), log=self.folder / "harness.log")
        warm.ready()
        return warm

    def _keep(self) -> None:
        while self.keeping:
            with self.lock:
                for part in self.parts:
                    if self.keeping and not part.alive:
                        self._start(part)
            time.sleep(0.1)

    def _start(self, part: Part) -> None:
        if part.pid:
            _kill_group(part.pid)  # a pool may outlive its parent
        log = str(self.folder / f"{part.name}.log")
        told = self.warm.ask(
            role=part.role, command=part.command, log=log, exposed=not part.spared
        )  # fmt: skip
        part.pid = told["pid"]
        self.starts += 1

    def close(self) -> None:
        """End everything."""
        self.keeping = False
        with self.lock:
            for part in self.parts:
                if part.pid:
                    _kill_group(part.pid)
        for told in ("warm", "proxy"):
            if hasattr(self, told):
                getattr(self, told).end()
        if hasattr(self, "cloud"):
            stop(self.cloud)
        self.redis.stop()
        with suppress(subprocess.CalledProcessError, FileNotFoundError):
            self.postgres.stop()

    def spare(self, *names: str) -> list[Part]:
        """Let these live for the whole run; return them."""
        chosen = [part for part in self.parts if part.name in names]
        for part in chosen:
            part.spared = True
        return chosen

    # What may be done to it ---------------------------------------------------------------------

    def kill(self, role: str, *, child: bool) -> bool:
        """Kill a process of a role at once: all of it, or one of its children."""
        with self.lock:
            exposed = [part for part in self.parts if part.role == role and not part.spared]
            alive = [part for part in exposed if part.alive]
            if not alive:
                return False
            part = random.choice(alive)
            children = _children(part.pid) if child else []
            if children:
                os.kill(random.choice(children), signal.SIGKILL)
            else:
                _kill_group(part.pid)
        self.kills[f"{role}, at random" + (", one of its pool" if children else "")] += 1
        return True

    def doomed(self, role: str, point: str, words: str, patience: float = 4.0) -> bool:
        """Have whoever comes to a point first die there, or be held up; tell whether one did."""
        sentence = self.doom / f"{role}.{point}"
        draft = self.doom / f"draft.{time.monotonic_ns()}"
        draft.write_text(words)
        draft.rename(sentence)
        until = time.monotonic() + patience
        while sentence.exists():
            if time.monotonic() > until:
                sentence.unlink(missing_ok=True)
                return False
            time.sleep(0.02)
        if words.startswith("die"):
            self.kills[f"{role}, {point}"] += 1
        return True

    def link(self, name: str, mode: str, share: float = 1.0) -> None:
        """Make a link a bad network, or a good one again."""
        self.proxy.ask(link=name, mode=mode, share=share)

    def kill_redis(self) -> None:
        """Kill Redis, which keeps nothing, and start it again empty."""
        self.redis.kill()
        time.sleep(random.uniform(0, 2))
        self.redis.start()

    def restart_postgres(self) -> None:
        """Restart PostgreSQL as after a crash."""
        self.postgres.restart()

    def deploy(self) -> None:
        """Replace all processes by those of a fresh start, as a new version would: politely."""
        fresh = self._warmed()
        with self.lock:
            old, self.warm = self.warm, fresh
            for part in self.parts:
                if part.alive:
                    os.kill(part.pid, signal.SIGTERM)
            until = time.monotonic() + 12
            while any(part.alive for part in self.parts) and time.monotonic() < until:
                time.sleep(0.1)
        old.end()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Speak to the demo cloud's control API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.cloud_port}/_demo/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]
