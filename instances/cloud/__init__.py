"""The only door to OpenStack: plain facts out, a small tree of errors out.

Built on openstacksdk's session and raw JSON, because the SDK's own ``rescue_server()`` throws
Nova's answer (password and request id) away, and its objects cost milliseconds a server.
Every call has a timeout, follows no redirect and is sent once: a POST is never repeated here.
"""

from instances.cloud.clouds_yaml import Found, from_clouds_yaml
from instances.cloud.door import Cloud
from instances.cloud.errors import (
    BadCredentials,
    Broken,
    CloudError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Limited,
    Refused,
    Silent,
    TooOld,
)
from instances.cloud.facts import Accepted, Image, Server
from instances.cloud.guard import check_address
from instances.cloud.inquiry import Inquiry, Trait, inquire, inquire_regions
from instances.cloud.listing import PAGE, Page, ahead
from instances.cloud.opening import open_account
from instances.cloud.people import CloudUser, NotProven, prove

__all__ = [
    "PAGE",
    "Accepted",
    "BadCredentials",
    "Broken",
    "Cloud",
    "CloudError",
    "CloudUser",
    "Conflict",
    "Forbidden",
    "Found",
    "Gone",
    "Image",
    "Inquiry",
    "Invalid",
    "Limited",
    "NotProven",
    "Page",
    "Refused",
    "Server",
    "Silent",
    "TooOld",
    "Trait",
    "ahead",
    "check_address",
    "from_clouds_yaml",
    "inquire",
    "inquire_regions",
    "open_account",
    "prove",
]
