"""No log line holds a link's secret: not the access log, not Django's own lines."""

import json
import re
from pathlib import Path

import httpx
import pytest
from django.urls import get_resolver

from rescuepanel.log_addresses import hide_in_addresses
from tests.access_table import rows
from tests.panel import Panel
from tests.services import stop, wait_until

CANARY = "canary-7fQ"
TOKEN = CANARY + "x" * 33
UUID = "0c6e4a52-93f0-4a8e-9a39-4a8a1f6d7c11"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("GET /?team=3&page=2 HTTP/1.1", "/?team=3&page=2"),
        (f"GET /rescues/{UUID}/report HTTP/1.1", f"/rescues/{UUID}/report"),
        ("GET /teams/12/members/7 HTTP/1.1", "/teams/12/members/7"),
        (f"GET /invitations/{CANARY} HTTP/1.1", "/invitations/[hidden] "),
        ("GET /static/style.0123456789ab.css", "/static/style.0123456789ab.css"),
        (f"at https://h.example.org/services/{TOKEN}", "https://h.example.org/services/[hidden]"),
        ("GET /wp-login.php", "/wp-login.php"),
    ],
)
def test_words_numbers_and_ids_stay_readable(line: str, kept: str) -> None:
    get_resolver().url_patterns  # noqa: B018 - the urlconf is loaded, as after the first request
    told = hide_in_addresses(line)
    assert kept in told + " "
    assert CANARY not in told


def test_each_address_of_the_urlconf_hides_its_free_text() -> None:
    get_resolver().url_patterns  # noqa: B018
    free = {row.address for row in rows() if re.search("<(str|base36|path):", row.address)}
    assert len(free) > 5
    for address in free:
        filled = re.sub("<(str|base36|path):[^>]+>", "canary7fQ", address)
        filled = re.sub("<int:[^>]+>", "1", filled)
        assert "canary7fQ" not in hide_in_addresses(f'"GET /{filled} HTTP/1.1" 200')


@pytest.fixture
def web(tmp_path: Path) -> Panel:
    panel = Panel(tmp_path, LOG_LEVEL="DEBUG", DEMO="1")
    panel.manage("migrate", "--no-input")
    return panel


def test_real_requests_leave_no_secret_in_the_log(web: Panel) -> None:
    process = web.spawn("web", "uvicorn", "rescuepanel.asgi:application", "--port", str(web.port))
    try:
        wait_until(lambda: _lives(web), "the panel answering", 40)
        for address in (
            f"/invitations/{TOKEN}",
            f"/invitations/{TOKEN}/",
            f"/account/confirm/{TOKEN}",
            f"/account/reset/1-{TOKEN}",
            f"/account/sign-up?invitation={TOKEN}",
            f"/sign-in?next=/invitations/{TOKEN}",
            f"/account/with/oidc/back?code={TOKEN}&state={TOKEN}",
            f"/nowhere/{TOKEN}",
        ):
            for method in ("GET", "POST", "PUT"):
                httpx.request(method, web.url + address, timeout=20)
    finally:
        stop(process)
    log = (web.folder / "web.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert CANARY not in log
    assert {"uvicorn.access", "django.request", "django.security.csrf"} <= {
        line["logger"] for line in lines
    }
    told = {line["event"].partition(" - ")[2] for line in lines if "access" in line["logger"]}
    assert '"GET /invitations/[hidden] HTTP/1.1" 404' in told
    assert '"GET /account/reset/[hidden] HTTP/1.1" 200' in told
    assert '"GET /account/sign-up?invitation=[hidden] HTTP/1.1" 403' in told


def _lives(web: Panel) -> bool:
    try:
        return httpx.get(f"{web.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
