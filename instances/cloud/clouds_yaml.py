"""Accounts in the clouds.yaml of whoever runs the panel."""

from dataclasses import dataclass
from typing import Any

import openstack.config
from openstack.exceptions import SDKException

from instances.cloud.errors import Invalid


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
