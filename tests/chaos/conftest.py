"""Lend the domain's fixtures to the tests of what must never happen."""

from tests.instances.conftest import (  # noqa: F401
    account,
    credential,
    demo,
    fresh_connections,
    instance_named,
    start,
    synced,
)
