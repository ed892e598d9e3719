"""People, teams, what they connect and are told, and what was done by whom."""

from .account import CloudAccount
from .cloud_person import CloudPerson
from .delivery import Delivery, Webhook
from .invitation import Invitation
from .key import SSHKey
from .people import Impersonation, User
from .team import Membership, Team
from .trail import AuditEntry

__all__ = [
    "AuditEntry",
    "CloudAccount",
    "CloudPerson",
    "Delivery",
    "Impersonation",
    "Invitation",
    "Membership",
    "SSHKey",
    "Team",
    "User",
    "Webhook",
]
