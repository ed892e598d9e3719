"""Give the fuzzers a cloud, an account on it, and the world of the access table."""

from tests.instances.conftest import (  # noqa: F401
    account,
    credential,
    demo,
    fresh_connections,
    instance_named,
    start,
    synced,
)
