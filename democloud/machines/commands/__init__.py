"""The programs of the machines; importing this puts all of them into the list."""

from democloud.machines.commands import (
    changes,
    checks,
    devices,
    editing,
    files,
    mounts,
    people,
    shells,
    system,
    usage,
    volumes,
)

__all__ = [
    "changes",
    "checks",
    "devices",
    "editing",
    "files",
    "mounts",
    "people",
    "shells",
    "system",
    "usage",
    "volumes",
]
