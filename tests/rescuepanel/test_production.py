"""The panel as the image runs it: secure settings, secrets as files, static files gathered."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from rescuepanel.environment import new_key
from tests.services import (
    ROOT,
    Postgres,
    RedisServer,
    free_port,
    postgres_programs,
    stop,
    wait_until,
)

SECRETS = ("SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL")


class Production:
    """Processes with the settings of docker-compose.yml."""

    def __init__(self, folder: Path, redis_url: str, database: str) -> None:
        self.folder, self.port = folder, free_port()
        for name, value in zip(SECRETS, (new_key(), new_key(), database), strict=True):
            (folder / name).write_text(value)
        secrets = {f"{name}_FILE": str(folder / name) for name in SECRETS}
        self.environment = {
            "PATH": os.environ["PATH"],
            "REDIS_URL": redis_url,
            "STATIC_ROOT": str(folder / "static"),
            "ALLOWED_HOSTS": "panel.example.org",
            "CSRF_TRUSTED_ORIGINS": "https://panel.example.org",
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
        } | secrets

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / "log").open("ab")
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )

    def manage(self, *command: str) -> None:
        done = self.spawn("manage.py", *command)
        assert done.wait(60) == 0, (self.folder / "log").read_text()

    def get(self, path: str, **headers: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.get(url, headers={"Host": "panel.example.org"} | headers, timeout=10)

    def get_by_tls(self, path: str) -> httpx.Response:
        return self.get(path, **{"X-Forwarded-Proto": "https"})


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Run web and worker as in production, on PostgreSQL."""
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed")
    redis_server = RedisServer(tmp_path_factory.mktemp("redis"))
    # Not in pytest's folder: that one is closed to PostgreSQL's user.
    postgres = Postgres(Path(tempfile.mkdtemp()) / "postgres")
    redis_server.start()
    postgres.start()
    panel = Production(tmp_path_factory.mktemp("production"), redis_server.url, postgres.url)
    panel.manage("collectstatic", "--no-input")
    panel.manage("migrate", "--no-input")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    worker = panel.spawn("-m", *compose["services"]["worker"]["command"].split())
    web = panel.spawn(
        "-m", "uvicorn", "rescuepanel.asgi:application", "--port", str(panel.port),
        "--lifespan", "off", "--timeout-graceful-shutdown", "3",
    )  # fmt: skip
    try:
        wait_until(lambda: _answers(panel), "the panel answering", 30)
        yield panel
        worker.send_signal(signal.SIGQUIT)
        worker.wait(20)
    finally:
        stop(web)
        stop(worker)
        redis_server.stop()
        postgres.stop()


def _answers(panel: Production) -> bool:
    try:
        return panel.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_health_answers_without_tls_and_by_the_machines_own_name(production: Production) -> None:
    assert production.get("/healthz", Host="127.0.0.1:8000").status_code == 200
    assert production.get("/readyz").json()["ready"] is True


def test_plain_http_is_sent_to_https(production: Production) -> None:
    answer = production.get("/sign-in")
    assert answer.status_code == 301
    assert answer.headers["location"] == "https://panel.example.org/sign-in"


def test_a_foreign_host_is_refused_with_nothing_told(production: Production) -> None:
    answer = production.get("/sign-in", Host="evil.example.net")
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


def test_pages_carry_the_headers_of_production(production: Production) -> None:
    answer = production.get_by_tls("/sign-in")
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-csrf=")
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert word in cookie
    assert "rescue-demo" not in answer.text


def test_strangers_leave_no_session(production: Production) -> None:
    assert "session" not in production.get_by_tls("/sign-in").headers["set-cookie"]


def test_static_files_are_named_by_content_and_kept_for_ever(production: Production) -> None:
    page = production.get_by_tls("/sign-in").text
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page)
    assert styles
    for path in styles:
        assert re.search(r"\.[0-9a-f]{12}\.css$", path)
        answer = production.get_by_tls(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


def test_compose_names_only_settings_that_exist_and_no_secret() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    ours = {"migrate", "web", "worker", "machines", "beat", "listen"}
    assert set(services) == ours | {"postgres", "redis"}
    source = (ROOT / "rescuepanel" / "settings.py").read_text()
    source += (ROOT / "rescuepanel" / "environment.py").read_text()
    for name in services["web"]["environment"]:
        bare = name.removesuffix("_FILE")
        assert bare == "FORWARDED_ALLOW_IPS" or f'"{bare}"' in source
    for secret in compose["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    for name in ("worker", "machines"):
        assert services[name]["stop_signal"] == "SIGQUIT"
    assert all("healthcheck" in services[name] for name in set(services) - {"migrate"})


def test_made_secrets_start_the_panel_and_are_kept(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "make-secrets"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts" / "make-secrets").read_text())
    for _ in range(2):
        subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    password = (folder / "postgres_password").read_text()
    assert (folder / "database_url").read_text() == f"postgres://panel:{password}@postgres/panel"
    environment = {f"{name}_FILE": str(folder / name.lower()) for name in SECRETS}
    code = "from rescuepanel import settings as s; print(s.DATABASES['default']['PASSWORD'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, check=True, capture_output=True,
        env={"PATH": os.environ["PATH"], "REDIS_URL": "redis://redis"} | environment,
    )  # fmt: skip
    assert done.stdout.strip() == password
