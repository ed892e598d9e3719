"""The mirror of what the clouds hold, and the rescues on it."""

from instances.models.batch import Batch, BatchItem
from instances.models.boot import BootCheck
from instances.models.console import ConsoleReading
from instances.models.dismissal import Dismissal
from instances.models.grant import Grant
from instances.models.history import CloudHistory
from instances.models.left_hash import LeftHash
from instances.models.machine import Job, Machine
from instances.models.mirror import CloudMirror, Image, Instance
from instances.models.profile import ImageProfile
from instances.models.rescue import Rescue
from instances.models.snapshot import Snapshot
from instances.models.terminal import Terminal

__all__ = [
    "Batch",
    "BatchItem",
    "BootCheck",
    "CloudHistory",
    "CloudMirror",
    "ConsoleReading",
    "Dismissal",
    "Grant",
    "Image",
    "ImageProfile",
    "Instance",
    "Job",
    "LeftHash",
    "Machine",
    "Rescue",
    "Snapshot",
    "Terminal",
]
