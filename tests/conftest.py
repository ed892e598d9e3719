"""Give the tests real services, settings of their own, and the cast."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import client_cookies
from tests.services import Postgres, RedisServer, running_democloud

_running: list[RedisServer | Postgres] = []
_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the services, then let Django read its settings, which name them."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # with pytest -n each worker has services of its own
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the tests make their own settings.")
    folder = config.stash[_folder] = Path(tempfile.mkdtemp(prefix="panel-test-"))
    redis_server = RedisServer(folder)
    redis_server.start()
    _running.append(redis_server)
    database = f"sqlite:///{folder / 'panel.sqlite3'}"
    if os.environ.get("TEST_DB") == "postgres":
        postgres = Postgres(Path(f"{folder}-postgres"))
        postgres.start()
        _running.append(postgres)
        database = postgres.url
    _set_environment(folder, database, redis_server.url)
    from django.conf import settings

    # Threads of servers in the tests would keep theirs, and the database could not be dropped.
    settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if "sqlite" in database:
        # A file, not memory: the stream's and the workers' threads see it too.
        names = settings.DATABASES["default"].setdefault("TEST", {})
        names["NAME"] = str(folder / "test.sqlite3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, the kills and the whole table of access.

    So the processes of ``-n`` end together.
    """
    here = Path(__file__).parent
    items.sort(
        key=lambda item: (item.get_closest_marker("chaos") is None, item.path.parent != here)
    )


def _set_environment(folder: Path, database: str, redis_url: str) -> None:
    from rescuepanel.environment import new_key

    for name in list(os.environ):
        if name.startswith("OS_") and name != "OS_CLIENT_CONFIG_FILE":
            del os.environ[name]
    os.environ.pop("DEMO", None)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="rescuepanel.settings",
        SECRET_KEY=new_key(),
        ENCRYPTION_KEYS=new_key(),
        DATABASE_URL=database,
        REDIS_URL=redis_url,
        DEMO_DIR=str(folder),
        DEBUG="1",
        ALLOWED_HOSTS="testserver,127.0.0.1,localhost",
        CLOUD_PRIVATE_NETWORKS="127.0.0.0/8",
        METRICS_NETWORKS="127.0.0.0/8",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the services and remove what they wrote."""
    while _running:
        _running.pop().stop()
    if folder := config.stash.get(_folder, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> RedisServer:
    """Give the Redis all tests share."""
    return next(server for server in _running if isinstance(server, RedisServer))


@pytest.fixture(scope="session", autouse=True)
def clients_sign_cookies() -> Iterator[None]:
    """Let Django's test client sign its session cookies."""
    with pytest.MonkeyPatch.context() as patch:
        client_cookies.sign(patch)
        yield


@pytest.fixture(autouse=True)
def lists_are_forgotten() -> None:
    """Keep what the list wrote for one test out of the next, whose rows have the same keys."""
    from django.core.cache import caches

    caches["rows"].clear()
    caches["lists"].clear()


@pytest.fixture(scope="session", autouse=True)
def trail_emptied_between_tests() -> Iterator[None]:
    """Let a test's database be emptied, audit trail and all; everybody else is refused."""
    from django.db import connection
    from django.db.backends.base.operations import BaseDatabaseOperations

    from teams import append_only

    flush = BaseDatabaseOperations.execute_sql_flush

    def flush_all(operations: Any, statements: Any) -> None:
        append_only.lift(connection)
        flush(operations, statements)
        append_only.install(connection)

    BaseDatabaseOperations.execute_sql_flush = flush_all  # type: ignore[method-assign]
    yield
    BaseDatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def democloud() -> Iterator[str]:
    """Give the Keystone address of a look-alike cloud that does everything at once."""
    with running_democloud("--instant") as url:
        yield url


def _person(name: str, *, is_staff: bool = False) -> Any:
    from teams.models import User

    user = User(email=f"{name}@example.org", name=name.capitalize(), is_staff=is_staff)
    user.set_password("rescue-demo")
    user.save()
    return user


@pytest.fixture
def alice(db: None) -> Any:
    """Give the owner of Acme Web."""
    return _person("alice")


@pytest.fixture
def bob(db: None) -> Any:
    """Give a member of Acme Web."""
    return _person("bob")


@pytest.fixture
def carol(db: None) -> Any:
    """Give somebody who may only look at Acme Web."""
    return _person("carol")


@pytest.fixture
def mallory(db: None) -> Any:
    """Give the owner of another team."""
    return _person("mallory")


@pytest.fixture
def sam(db: None) -> Any:
    """Give somebody of the staff."""
    return _person("sam", is_staff=True)


@pytest.fixture
def teams(alice: Any, bob: Any, carol: Any, mallory: Any) -> SimpleNamespace:
    """Give the teams `acme` (alice, bob, carol) and `other` (mallory)."""
    from teams.models import Membership, Team

    acme, other = Team.objects.create(name="Acme Web"), Team.objects.create(name="Other Corp")
    roles = [
        (acme, alice, "owner"),
        (acme, bob, "member"),
        (acme, carol, "reader"),
        (other, mallory, "owner"),
    ]
    for team, user, role in roles:
        Membership.objects.create(team=team, user=user, role=role)
    return SimpleNamespace(acme=acme, other=other)
