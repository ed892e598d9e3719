"""Every kind of work there is, by its word."""

from instances.recovery.mounts import Mount, Unmount
from instances.recovery.repairs.check import Check
from instances.recovery.repairs.edit_file import EditFile
from instances.recovery.repairs.fstab_line import TakeOutLine
from instances.recovery.repairs.password import SetPassword
from instances.recovery.repairs.ssh_key import PutKeyBack
from instances.recovery.survey import Look
from instances.recovery.work import Kind

REPAIRS: dict[str, Kind] = {
    kind.key: kind for kind in (PutKeyBack(), SetPassword(), TakeOutLine(), EditFile(), Check())
}
KINDS: dict[str, Kind] = {kind.key: kind for kind in (Look(), Mount(), Unmount())} | REPAIRS
