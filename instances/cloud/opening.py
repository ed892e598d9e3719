"""Which cloud to open: an account's, once in each process, or one of clouds.yaml."""

import threading
from dataclasses import dataclass
from typing import Any

import openstack.config
from openstack.exceptions import SDKException

from instances.cloud.door import Cloud, translated
from instances.cloud.errors import BadCredentials, Invalid
from teams.secrets import CannotOpen


@dataclass(frozen=True)
class Found:
    """An account read from clouds.yaml: what ``Cloud`` opens, and its region."""

    credential: dict[str, Any]
    region_name: str


def from_clouds_yaml(name: str, region_name: str | None = None) -> Found:
    """Read an account from clouds.yaml, found as every OpenStack client finds it.

    Raise ``Invalid`` with a sentence when there is none of that name.
    """
    try:
        region = openstack.config.OpenStackConfig().get_one(cloud=name, region_name=region_name)
    except SDKException as error:
        raise Invalid(str(error)) from None
    config = region.config
    auth = {key: value for key, value in config["auth"].items() if value is not None}
    application = any(key.startswith("application_credential") for key in auth)
    credential = {"auth_type": "v3applicationcredential" if application else "v3password"}
    kept = {key: config[key] for key in ("verify", "cacert", "interface") if config.get(key)}
    return Found(credential | kept | {"auth": auth}, region.region_name or "")


_opened: dict[tuple[int, int], Cloud] = {}
_opening = threading.Lock()


def open_account(account: Any) -> Cloud:
    """Return this process's connection to a ``CloudAccount``, opened once for each credential.

    Raise ``BadCredentials`` when the credential cannot be unsealed or makes no sense.
    """
    key = (account.pk, account.credential_version)
    with _opening:
        if key not in _opened:
            opened = _open(account)
            for old in [one for one in _opened if one[0] == account.pk]:
                del _opened[old]  # of a credential that has been replaced
            _opened[key] = opened
        return _opened[key]


@translated
def _open(account: Any) -> Cloud:
    try:
        return Cloud(account.credential(), region_name=account.region_name)
    except CannotOpen as error:
        raise BadCredentials(str(error)) from None
